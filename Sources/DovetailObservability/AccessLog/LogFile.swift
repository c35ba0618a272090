#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file descriptor that lines are written to. Whole writes, each by one thread at a time; the caller sees to that.
struct LogFile: Sendable {
    private let descriptor: CInt
    private let isOwned: Bool

    static let standardOutput = LogFile(descriptor: 1, isOwned: false)
    static let standardError = LogFile(descriptor: 2, isOwned: false)

    private init(descriptor: CInt, isOwned: Bool) {
        self.descriptor = descriptor
        self.isOwned = isOwned
    }

    /// Opens a file to write at its end; only its owner and group may read it.
    init(path: String) throws(LogFileError) {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            throw LogFileError(path: path, reason: String(cString: strerror(errno)))
        }
        self.init(descriptor: descriptor, isOwned: true)
    }

    /// Writes all of the bytes; false if that failed.
    func write(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let chunk = UnsafeRawBufferPointer(rebasing: rest)
                #if canImport(Darwin)
                    let written = Darwin.write(descriptor, chunk.baseAddress, chunk.count)
                #elseif canImport(Glibc)
                    let written = Glibc.write(descriptor, chunk.baseAddress, chunk.count)
                #else
                    let written = Musl.write(descriptor, chunk.baseAddress, chunk.count)
                #endif
                if written > 0 {
                    rest = rest.dropFirst(written)
                } else if written == 0 || errno != EINTR {
                    return false
                }
            }
            return true
        }
    }

    func close() {
        guard isOwned else { return }
        #if canImport(Darwin)
            _ = Darwin.close(descriptor)
        #elseif canImport(Glibc)
            _ = Glibc.close(descriptor)
        #else
            _ = Musl.close(descriptor)
        #endif
    }
}

/// A log file that cannot be written.
public struct LogFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What the system said.
    public let reason: String

    public var description: String {
        "the log file '\(path)' cannot be opened: \(reason); check the directory and its permissions"
    }
}
