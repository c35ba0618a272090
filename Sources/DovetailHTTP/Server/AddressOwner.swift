#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The process that listens on an address.
public struct AddressOwner: Hashable, Sendable, CustomStringConvertible {
    /// Its process id.
    public let processID: Int
    /// Its name, as the system lists it.
    public let name: String

    public var description: String { "\(name) (process \(processID))" }

    /// Whose the TCP port is. Known on Linux, and only for processes that this user may look into.
    static func listening(on address: HTTPAddress) -> AddressOwner? {
        #if os(Linux)
            guard case .tcp(_, let port) = address else { return nil }
            let sockets = Set(
                ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { table in inodes(listeningOn: port, in: table) })
            return sockets.isEmpty ? nil : process(holding: sockets)
        #else
            return nil
        #endif
    }

    #if os(Linux)
        init?(processID: Int) {
            guard let name = Self.contents(of: "/proc/\(processID)/comm") else { return nil }
            self.processID = processID
            self.name = name.split(separator: "\n").first.map(String.init) ?? name
        }

        /// The lines of `/proc/net/tcp` are: slot, local address:port (hex), remote, state (0A is listening), …, inode.
        private static func inodes(listeningOn port: Int, in table: String) -> [String] {
            (contents(of: table) ?? "").split(separator: "\n").dropFirst().compactMap { line in
                let columns = line.split(separator: " ", omittingEmptySubsequences: true)
                guard columns.count > 9, columns[3] == "0A",
                    let local = columns[1].split(separator: ":").last, Int(local, radix: 16) == port
                else { return nil }
                return "socket:[\(columns[9])]"
            }
        }

        private static func process(holding sockets: Set<String>) -> AddressOwner? {
            for entry in entries("/proc") {
                guard let processID = Int(entry) else { continue }
                let descriptors = "/proc/\(entry)/fd"
                for descriptor in entries(descriptors) {
                    guard let target = target("\(descriptors)/\(descriptor)") else { continue }
                    if sockets.contains(target) { return AddressOwner(processID: processID) }
                }
            }
            return nil
        }

        private static func entries(_ path: String) -> [String] {
            guard let directory = opendir(path) else { return [] }
            defer { closedir(directory) }
            var names: [String] = []
            while let entry = readdir(directory) {
                names.append(
                    withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                )
            }
            return names
        }

        private static func target(_ link: String) -> String? {
            var buffer = [CChar](repeating: 0, count: 64)
            let length = readlink(link, &buffer, buffer.count)
            return length > 0
                ? String(decoding: buffer.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
        }

        /// Files of `/proc` have no size: they are read to their end.
        private static func contents(of path: String) -> String? {
            let file = open(path, O_RDONLY)
            guard file >= 0 else { return nil }
            defer { close(file) }
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                let count = read(file, &buffer, buffer.count)
                guard count > 0 else { break }
                bytes += buffer.prefix(count)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    #endif
}
