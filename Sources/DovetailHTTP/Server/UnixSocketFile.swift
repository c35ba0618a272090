import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The file of a Unix socket that only its owner may connect to, from birth to removal.
struct UnixSocketFile: Sendable {
    /// Where the socket is bound, before it is moved to its path.
    let birthplace: String
    private let path: String
    private let nursery: String

    /// Makes the directory in which the socket is to be bound.
    ///
    /// Throws ``ListenError`` if someone listens at `path`, if it is another kind of file, or if it is too long. A socket
    /// that nobody listens on, left by a process that died, will be replaced.
    init(path: String) throws {
        let address = HTTPAddress.unix(path: path)
        self.path = path
        nursery = "\(path).\(String(UInt32.random(in: .min ... .max), radix: 36))"
        birthplace = nursery + "/s"
        let longest = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1
        guard birthplace.utf8.count <= longest else {
            let excess = birthplace.utf8.count - longest
            throw ListenError(
                .invalidPath, address, "the path is \(excess) bytes too long for a socket; take a shorter")
        }
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else {
                throw ListenError(.invalidPath, address, "a file that is no socket is there; move it away")
            }
            let (isAlive, owner) = Self.listener(at: path)
            guard !isAlive else { throw ListenError.inUse(address, by: owner) }
        }
        guard mkdir(nursery, 0o700) == 0 else {
            let reason = String(cString: strerror(errno))
            throw ListenError(.invalidPath, address, "its directory cannot be written: \(reason)")
        }
    }

    /// Makes the bound socket its owner's alone, and moves it to its path.
    func publish() throws {
        guard chmod(birthplace, 0o600) == 0, rename(birthplace, path) == 0 else {
            let reason = String(cString: strerror(errno))
            throw ListenError(.invalidPath, .unix(path: path), "the socket cannot be put there: \(reason)")
        }
        rmdir(nursery)
    }

    /// Takes the socket away again, unless another process has taken its place.
    func remove() {
        unlink(birthplace)
        rmdir(nursery)
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK, !Self.listener(at: path).isAlive else {
            return
        }
        unlink(path)
    }

    /// Whether a process listens on the socket, and which.
    private static func listener(at path: String) -> (isAlive: Bool, owner: AddressOwner?) {
        #if canImport(Darwin)
            let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #else
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        guard descriptor >= 0 else { return (false, nil) }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { buffer -> Bool in
            guard path.utf8.count < buffer.count else { return false }
            buffer.copyBytes(from: path.utf8)
            return true
        }
        guard fits else { return (false, nil) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { return (false, nil) }
        #if os(Linux)
            // struct ucred: the listener's process, user and group, as of its listen().
            var credentials: [Int32] = [0, 0, 0]
            var size = socklen_t(12)
            guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return (true, nil) }
            return (true, AddressOwner(processID: Int(credentials[0])))
        #else
            return (true, nil)
        #endif
    }
}
