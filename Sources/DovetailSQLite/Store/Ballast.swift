import Foundation

/// A file that holds space back: given up when the disk is full, since even a DELETE needs some.
struct Ballast: Sendable {
    let path: String
    let bytes: Int

    /// Makes the file if it is not there at its size; false if there is no space for it.
    func restore() -> Bool {
        if bytes == 0 || size() == bytes { return true }
        // Written, not just sized: a sparse file would hold nothing back.
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { return false }
        defer { try? file.close() }
        let chunk = Data(repeating: 0xD7, count: min(bytes, 1 << 20))
        var left = bytes
        while left > 0 {
            let next = chunk.prefix(left)
            do { try file.write(contentsOf: next) } catch {
                release()
                return false
            }
            left -= next.count
        }
        return true
    }

    /// Gives the space back.
    func release() {
        try? FileManager.default.removeItem(atPath: path)
    }

    private func size() -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
    }
}
