import Synchronization

/// What the loops of a gateway have taken on together; counted only where it is limited.
final class LoadGauge: Sendable {
    private let requests = Atomic<Int>(0)
    private let connections = Atomic<Int>(0)
    private let refused = Atomic<Int>(0)

    /// Connections that were closed because there were too many.
    var refusedConnections: Int { refused.load(ordering: .relaxed) }

    /// Takes a request on; false if there are `limit` already.
    func beginRequest(limit: Int) -> Bool { LoadGauge.take(requests, limit) }

    func endRequest() { requests.subtract(1, ordering: .relaxed) }

    /// Takes a connection on; false if there are `limit` already.
    func openConnection(limit: Int) -> Bool {
        guard !LoadGauge.take(connections, limit) else { return true }
        refused.add(1, ordering: .relaxed)
        return false
    }

    func closeConnection() { connections.subtract(1, ordering: .relaxed) }

    private static func take(_ count: borrowing Atomic<Int>, _ limit: Int) -> Bool {
        guard count.add(1, ordering: .relaxed).newValue > limit else { return true }
        count.subtract(1, ordering: .relaxed)
        return false
    }
}
