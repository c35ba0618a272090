import DovetailEvents
import Foundation
import Synchronization

/// The right to open a store: an OS lock that ends with the process, however it ends.
final class StoreLock: Sendable {
    private let descriptor: Int32
    private let released = Mutex(false)

    /// Takes the lock. Throws `locked` with the process that has it.
    init(path: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw LogError(
                .readOnly, path,
                "it cannot be opened (\(String(cString: strerror(errno)))); check that its folder can be written")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = StoreLock.holder(descriptor)
            close(descriptor)
            throw LogError(
                .locked, path, "\(holder) has the store open; stop it first, or give this node a data folder of its own"
            )
        }
        let text = "\(ProcessInfo.processInfo.processIdentifier)\n"
        ftruncate(descriptor, 0)
        _ = text.withCString { pwrite(descriptor, $0, strlen($0), 0) }
    }

    deinit {
        release()
    }

    /// Lets the next one have the store.
    func release() {
        let isFirst = released.withLock { released in
            defer { released = true }
            return !released
        }
        if isFirst { close(descriptor) }
    }

    private static func holder(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let digits = bytes.prefix(max(0, count)).prefix { (0x30...0x39).contains($0) }
        return digits.isEmpty ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
    }
}
