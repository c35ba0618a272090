import CChecksum

/// The Castagnoli checksum of RFC 3720, 12.1: eight bytes a step, by the processor's own instruction or by tables.
struct CRC32C {
    private var state: UInt32 = 0xFFFF_FFFF

    /// The checksum of what was added.
    var value: UInt32 { ~state }

    mutating func add(_ bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { add($0) }
    }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add($0) }
        // Keeps ("ab", "c") and ("a", "bc") apart.
        add(UInt64(text.utf8.count))
    }

    mutating func add(_ number: UInt64) {
        withUnsafeBytes(of: number.littleEndian) { bytes in
            add(bytes.bindMemory(to: UInt8.self))
        }
    }

    mutating func add(_ bytes: UnsafeBufferPointer<UInt8>) {
        if CRC32C.hasInstruction {
            if let base = bytes.baseAddress { state = dovetail_crc32c(state, base, bytes.count) }
        } else {
            addByTables(bytes)
        }
    }

    private static let hasInstruction = dovetail_has_crc32c()

    mutating func addByTables(_ bytes: UnsafeBufferPointer<UInt8>) {
        CRC32C.tables.withUnsafeBufferPointer { tables in
            var crc = state
            var index = 0
            while index + 8 <= bytes.count {
                let low =
                    crc
                    ^ (UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16
                        | UInt32(bytes[index + 3]) << 24)
                var next = tables[0x700 + Int(low & 0xFF)] ^ tables[0x600 + Int(low >> 8 & 0xFF)]
                next ^= tables[0x500 + Int(low >> 16 & 0xFF)] ^ tables[0x400 + Int(low >> 24)]
                next ^= tables[0x300 + Int(bytes[index + 4])] ^ tables[0x200 + Int(bytes[index + 5])]
                next ^= tables[0x100 + Int(bytes[index + 6])] ^ tables[Int(bytes[index + 7])]
                crc = next
                index += 8
            }
            while index < bytes.count {
                crc = crc >> 8 ^ tables[Int((crc ^ UInt32(bytes[index])) & 0xFF)]
                index += 1
            }
            state = crc
        }
    }

    /// Eight tables in one: table n takes a byte n places further on.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[byte] = crc
        }
        for table in 1..<8 {
            for byte in 0..<256 {
                let before = tables[(table - 1) * 256 + byte]
                tables[table * 256 + byte] = before >> 8 ^ tables[Int(before & 0xFF)]
            }
        }
        return tables
    }()
}
