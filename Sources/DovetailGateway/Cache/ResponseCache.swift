import Collections
import DovetailCore
import Synchronization

/// The answers that a gateway keeps, in memory and up to a size, for all of its loops; and who is fetching what at the moment.
///
/// What was not used since the last round over all goes first when room is needed (the clock algorithm: Corbató 1968).
final class ResponseCache: Sendable {
    /// What an answer is kept under.
    struct Key: Hashable, Sendable {
        /// The host and the path, in canonical form: what an unsafe request to them throws away (RFC 9111 4.4).
        var place: [UInt8]
        /// The scheme, the query, and the route where it has conditions. What is thrown away for a place is so for both schemes.
        var rest: [UInt8]
    }

    private struct Kept {
        var key: Key
        var response: CachedResponse
        var wasUsed = false
        var size: Int
    }

    /// Told when its wait is over, and whether it is the one that fetches now.
    typealias Waiter = @Sendable (_ leads: Bool) -> Void

    /// How a fetch has ended.
    enum FillEnd {
        /// With an answer, which is kept or is none to be kept.
        case over
        /// Whoever fetched has left.
        case left
        /// Without an answer, or with one that says the upstream fails.
        case failed
    }

    /// A fetch that is under way.
    private struct Fill {
        /// In the order in which they came.
        var waiters: Deque<Waiter> = []
        var failures = 0
    }

    /// After so many fetches that failed nobody is held back any more: each finds out by itself.
    private static let mostFailures = 3

    private struct State {
        var kept: [UInt64: Kept] = [:]
        var variants: [Key: [UInt64]] = [:]
        var places: [[UInt8]: Set<Key>] = [:]
        /// In the order in which they are looked at for room.
        var round: Deque<UInt64> = []
        var size = 0
        var nextID: UInt64 = 0
        var fills: [Key: Fill] = [:]
        var evictions: UInt64 = 0
        /// How many invalidations there were, and at which of them each place was thrown away; before `invalidatedFloor` it is not known any more.
        var invalidations: UInt64 = 0
        var invalidated: [[UInt8]: UInt64] = [:]
        var invalidatedFloor: UInt64 = 0
        /// The same for paths whatever the host.
        var invalidatedPaths: [[UInt8]: UInt64] = [:]
        /// How many keys there are of each host.
        var hosts: [[UInt8]: Int] = [:]

        /// Counts one more or less of a host's keys.
        mutating func count(_ place: [UInt8], _ change: Int) {
            let host = Array(place.prefix { $0 != 0x20 })
            let number = (hosts[host] ?? 0) + change
            hosts[host] = number > 0 ? number : nil
        }
    }

    let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) { self.capacity = capacity }

    /// The kept answer to a request; `said` gives the request's value of a field, in one form whatever lines it came in.
    func find(_ key: Key, _ said: ([UInt8]) -> [UInt8]) -> CachedResponse? {
        state.withLock { state in
            for id in state.variants[key] ?? [] {
                guard let kept = state.kept[id], kept.response.vary.allSatisfy({ said($0.name) == $0.value }) else {
                    continue
                }
                state.kept[id]?.wasUsed = true
                return kept.response
            }
            return nil
        }
    }

    /// How many invalidations there were: an answer that was asked for before one of its place is not kept after it.
    var invalidations: UInt64 { state.withLock { $0.invalidations } }

    /// Keeps an answer in place of the one for the same values of what it depends on, unless its place was thrown away since it was asked for.
    func store(_ response: CachedResponse, under key: Key, since began: UInt64) {
        let size = response.size + key.place.count + key.rest.count
        guard size <= capacity else { return }
        state.withLock { state in
            guard state.invalidated[key.place] ?? state.invalidatedFloor <= began else { return }
            if !state.invalidatedPaths.isEmpty,
                let at = state.invalidatedPaths[Array(key.place.drop { $0 != 0x20 }.dropFirst())], at > began
            {
                return
            }
            for id in state.variants[key] ?? [] where state.kept[id]?.response.vary == response.vary {
                ResponseCache.remove(id, &state)
            }
            while state.size + size > capacity, let id = state.round.popFirst() {
                guard state.kept[id] != nil else { continue }
                if state.kept[id]?.wasUsed == true {
                    state.kept[id]?.wasUsed = false
                    state.round.append(id)
                } else {
                    state.evictions += 1
                    ResponseCache.remove(id, &state)
                }
            }
            state.nextID += 1
            let id = state.nextID
            state.kept[id] = Kept(key: key, response: response, size: size)
            state.variants[key, default: []].append(id)
            if state.places[key.place, default: []].insert(key).inserted { state.count(key.place, 1) }
            state.round.append(id)
            state.size += size
            // Places of what is gone are passed over as the round comes to them; not more than there is.
            if state.round.count > 2 * state.kept.count + 64 {
                state.round.removeAll { state.kept[$0] == nil }
            }
        }
    }

    /// Throws away the answer for the same values of what `response` depends on.
    func remove(_ response: CachedResponse, under key: Key) {
        state.withLock { state in
            for id in state.variants[key] ?? [] where state.kept[id]?.response.vary == response.vary {
                ResponseCache.remove(id, &state)
            }
        }
    }

    /// Throws away what is kept for a host and path, whatever the query.
    func invalidate(place: [UInt8]) {
        state.withLock { state in
            state.invalidations += 1
            if state.invalidated.count >= 4096 {
                state.invalidated = [:]
                state.invalidatedFloor = state.invalidations
            }
            state.invalidated[place] = state.invalidations
            for key in state.places[place] ?? [] {
                for id in state.variants[key] ?? [] { ResponseCache.remove(id, &state) }
            }
        }
    }

    /// Throws away what is kept for a path, whatever the host and the query.
    func invalidate(path: [UInt8]) {
        state.withLock { state in
            state.invalidations += 1
            if state.invalidatedPaths.count >= 4096 {
                state.invalidatedPaths = [:]
                state.invalidatedFloor = state.invalidations
                state.invalidated = [:]
            }
            state.invalidatedPaths[path] = state.invalidations
            for host in state.hosts.keys {
                for key in state.places[host + [0x20] + path] ?? [] {
                    for id in state.variants[key] ?? [] { ResponseCache.remove(id, &state) }
                }
            }
        }
    }

    /// Throws everything away.
    func clear() {
        state.withLock { state in
            state.invalidations += 1
            state.invalidated = [:]
            state.invalidatedFloor = state.invalidations
            state.kept = [:]
            state.variants = [:]
            state.places = [:]
            state.hosts = [:]
            state.invalidatedPaths = [:]
            state.round = []
            state.size = 0
        }
    }

    private static func remove(_ id: UInt64, _ state: inout State) {
        guard let kept = state.kept.removeValue(forKey: id) else { return }
        state.size -= kept.size
        state.variants[kept.key]?.removeAll { $0 == id }
        if state.variants[kept.key]?.isEmpty ?? false {
            state.variants[kept.key] = nil
            if state.places[kept.key.place]?.remove(kept.key) != nil { state.count(kept.key.place, -1) }
            if state.places[kept.key.place]?.isEmpty ?? false { state.places[kept.key.place] = nil }
        }
    }

    // MARK: Fetching

    /// Begins to fetch what is not kept; false if somebody else does, and then `wait` is called when that has ended.
    func beginFill(_ key: Key, wait: @escaping Waiter) -> Bool {
        state.withLock { state in
            guard state.fills[key] != nil else {
                state.fills[key] = Fill()
                return true
            }
            state.fills[key]?.waiters.append(wait)
            return false
        }
    }

    /// Whether somebody fetches it.
    func isBeingFilled(_ key: Key) -> Bool { state.withLock { $0.fills[key] != nil } }

    /// A fetch has ended: all who wait look again; or, where it brought nothing, the one that came first fetches now, and the others wait on.
    func endFill(_ key: Key, _ end: FillEnd) {
        let (leader, others) = state.withLock { state -> (Waiter?, Deque<Waiter>) in
            guard var fill = state.fills[key] else { return (nil, []) }
            if end == .failed { fill.failures += 1 }
            guard end != .over, fill.failures < ResponseCache.mostFailures, let next = fill.waiters.popFirst() else {
                state.fills[key] = nil
                return (nil, fill.waiters)
            }
            state.fills[key] = fill
            return (next, [])
        }
        leader?(true)
        for waiter in others { waiter(false) }
    }

    /// How many answers are kept, how many bytes they take, and how many had to go for others.
    var usage: (count: Int, bytes: Int, evictions: UInt64) {
        state.withLock { ($0.kept.count, $0.size, $0.evictions) }
    }
}
