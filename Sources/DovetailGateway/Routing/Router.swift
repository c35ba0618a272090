import HTTPTypes

/// Finds the route of a request: by host, then by path (exact before template before longest prefix), then by method.
///
/// Expressions are tried after the whole paths: each that begins with at least as many literal bytes as the prefix that was found goes before it, those
/// with more such bytes first, and where they are as many, in the order of the configuration.
/// Among templates the one with the earlier literal segment wins. A route that does not take the method, or whose conditions do not hold, is passed over, so
/// that `GET /orders/{id}` and `POST /orders/new` live side by side.
final class Router: Sendable {
    /// The most segments a template may capture.
    static let maximumCaptures = 16

    /// What a lookup found.
    enum Match: Equatable {
        case route(Int)
        /// A path is there, but not for this method.
        case methodNotAllowed(AllowedMethods)
        case notFound
    }

    /// The segments captured by a match, as places in the path's bytes.
    struct Captures {
        private(set) var ranges: [ByteRange] = []

        mutating func push(_ range: ByteRange) { ranges.append(range) }
        mutating func pop() { ranges.removeLast() }
        mutating func replace(_ ranges: [ByteRange]) { self.ranges = ranges }
        mutating func clear() { ranges.removeAll(keepingCapacity: true) }
    }

    /// A route whose path is an expression.
    private struct Candidate: Sendable {
        let expression: PathExpression
        let route: Int32
    }

    private let anyHost: FlatTrie
    /// Expressions, those that begin with more literal bytes first; of routes for all hosts, and by host.
    private let expressions: [Candidate]
    private let hostExpressions: [[UInt8]: [Candidate]]
    private let hosts: [[UInt8]: FlatTrie]
    private let methods: [MethodSet]
    /// Of each route the methods that are not known but named; nil where all are taken.
    private let otherMethods: [Set<String>?]
    private let conditions: [[CompiledCondition]]

    /// A router of `routes`, which are named by their index.
    init(_ routes: [Route]) {
        methods = routes.map { MethodSet($0.methods) }
        otherMethods = routes.map { $0.methods.isEmpty ? nil : MethodSet.others($0.methods) }
        conditions = routes.map { $0.conditions.map(CompiledCondition.init) }
        var anyHost = PathTrie()
        var hosts: [[UInt8]: PathTrie] = [:]
        var expressions: [Candidate] = []
        var hostExpressions: [[UInt8]: [Candidate]] = [:]
        // Where paths are the same, who asks for more is asked first.
        let order = routes.enumerated().sorted {
            ($1.element.conditions.count, $0.offset) < ($0.element.conditions.count, $1.offset)
        }
        for (index, route) in order {
            if let expression = route.path.expression {
                let candidate = Candidate(expression: expression, route: Int32(index))
                if let host = route.host {
                    let key = host.utf8.map(lowercased)
                    hostExpressions[key, default: []].append(candidate)
                    hosts[key] = hosts[key] ?? PathTrie()
                } else {
                    expressions.append(candidate)
                }
                continue
            }
            guard let host = route.host else {
                anyHost.insert(route.path, route: Int32(index))
                continue
            }
            hosts[host.utf8.map(lowercased), default: PathTrie()].insert(route.path, route: Int32(index))
        }
        self.expressions = Router.sorted(expressions)
        self.hostExpressions = hostExpressions.mapValues(Router.sorted)
        self.anyHost = FlatTrie(anyHost)
        self.hosts = hosts.mapValues(FlatTrie.init)
    }

    /// The route for `path`, a range of `bytes` in canonical form; of a cross-origin preflight the one that the request it asks for may take. On a match `captures` holds what its template left open.
    func match(
        _ method: Method, named name: ByteRange = .empty, host: UnsafeRawBufferPointer, bytes: UnsafeRawBufferPointer,
        path: ByteRange,
        query: ByteRange? = nil, fields: [HeaderField] = [], isPreflight: Bool = false, captures: inout Captures
    ) -> Match {
        captures.clear()
        var search = Search(
            bytes: bytes, end: Int(path.end), method: method, methodName: name, query: query, fields: fields,
            isPreflight: isPreflight,
            captures: captures)
        if !hosts.isEmpty {
            let key = Router.hostKey(host)
            if let trie = hosts[key] {
                let candidates = hostExpressions.isEmpty ? [] : hostExpressions[key] ?? []
                if let route = find(in: trie, candidates, &search, from: path) {
                    captures = search.captures
                    return .route(route)
                }
            }
        }
        if let route = find(in: anyHost, expressions, &search, from: path) {
            captures = search.captures
            return .route(route)
        }
        captures.clear()
        return search.allowed.isEmpty ? .notFound : .methodNotAllowed(search.allowed)
    }

    /// A host in lower case without its port, and without the dot that may stand behind a whole name.
    private static func hostKey(_ host: UnsafeRawBufferPointer) -> [UInt8] {
        var end = host.count
        if let colon = host.lastIndex(of: 0x3A), host[(colon + 1)...].allSatisfy({ $0 &- 0x30 < 10 }) { end = colon }
        if end > 1, host[end - 1] == 0x2E { end -= 1 }
        return host[0..<end].map(lowercased)
    }

    private struct Search {
        let bytes: UnsafeRawBufferPointer
        let end: Int
        let method: Method
        let methodName: ByteRange
        let query: ByteRange?
        let fields: [HeaderField]
        let isPreflight: Bool
        var captures: Captures
        var prefix: Int32 = -1
        var prefixEnd = -1
        var allowed = AllowedMethods()
    }

    private static func sorted(_ candidates: [Candidate]) -> [Candidate] {
        // Where their beginnings are as long, they stay in their order.
        candidates.enumerated().sorted {
            ($1.element.expression.literal.count, $0.offset) < ($0.element.expression.literal.count, $1.offset)
        }.map(\.element)
    }

    private func find(
        in trie: FlatTrie, _ expressions: [Candidate], _ search: inout Search, from path: ByteRange
    ) -> Int? {
        search.prefix = -1
        search.prefixEnd = -1
        let found = trie.withView { view in descend(view, 0, Int(path.start), &search) }
        if found >= 0 { return Int(found) }
        if !expressions.isEmpty {
            let prefixLength = search.prefix >= 0 ? search.prefixEnd - Int(path.start) : -1
            for candidate in expressions where candidate.expression.literal.count >= prefixLength {
                guard let ranges = candidate.expression.match(search.bytes, path: path),
                    takes(candidate.route, &search)
                else { continue }
                search.captures.replace(ranges)
                return Int(candidate.route)
            }
        }
        guard search.prefix >= 0 else { return nil }
        search.captures.clear()
        return Int(search.prefix)
    }

    /// Follows the path from a node whose label is matched already; -1 when no whole path matches below it.
    private func descend(_ trie: FlatTrie.View, _ start: Int32, _ position: Int, _ search: inout Search) -> Int32 {
        let node = trie.nodes[Int(start)]
        let atSegmentEnd = position == search.end || search.bytes[position] == 0x2F
        if atSegmentEnd, !node.prefixes.isEmpty, position > search.prefixEnd {
            let route = pick(trie, node.prefixes, &search)
            if route >= 0 {
                search.prefix = route
                search.prefixEnd = position
            }
        }
        if position == search.end { return pick(trie, node.routes, &search) }
        let first = search.bytes[position]
        let child = trie.child(of: node, startingWith: first)
        if child >= 0 {
            let label = trie.nodes[Int(child)].label
            if position &+ label.count <= search.end, trie.matches(label, search.bytes, position) {
                let found = descend(trie, child, position &+ label.count, &search)
                if found >= 0 { return found }
            }
        }
        guard node.capture >= 0, first != 0x2F else { return -1 }
        var stop = position
        while stop < search.end, search.bytes[stop] != 0x2F { stop &+= 1 }
        search.captures.push(ByteRange(position, stop))
        let found = descend(trie, node.capture, stop, &search)
        if found < 0 { search.captures.pop() }
        return found
    }

    private func pick(_ trie: FlatTrie.View, _ candidates: ByteRange, _ search: inout Search) -> Int32 {
        for index in candidates.start..<candidates.end {
            let candidate = trie.routes[Int(index)]
            if takes(candidate, &search) { return candidate }
        }
        return -1
    }

    private func takesOther(_ candidate: Int32, _ name: ByteRange, _ bytes: UnsafeRawBufferPointer) -> Bool {
        otherMethods[Int(candidate)].map { $0.contains(bytes[name].text) } ?? true
    }

    /// Whether a route whose path fits takes the method, and its conditions hold.
    @inline(__always)
    private func takes(_ candidate: Int32, _ search: inout Search) -> Bool {
        let methods = methods[Int(candidate)]
        guard methods.contains(search.method),
            search.method != .other || takesOther(candidate, search.methodName, search.bytes)
        else {
            search.allowed.methods.bits |= methods.bits
            search.allowed.others.formUnion(otherMethods[Int(candidate)] ?? [])
            return false
        }
        let conditions = conditions[Int(candidate)]
        return conditions.isEmpty
            || conditions.allSatisfy({ condition in
                search.isPreflight
                    ? condition.mayHold(in: search.bytes, query: search.query, fields: search.fields)
                    : condition.holds(in: search.bytes, query: search.query, fields: search.fields)
            })
    }
}

/// The methods that routes take which do not take a request's.
struct AllowedMethods: Equatable {
    var methods = MethodSet()
    /// Those that are not known but named.
    var others: Set<String> = []

    var isEmpty: Bool { methods.bits == 0 && others.isEmpty }

    /// As in `Allow`: `GET, HEAD, PROPFIND`.
    var description: String {
        ([methods.description] + others.sorted()).filter { !$0.isEmpty }.joined(separator: ", ")
    }
}

extension MethodSet {
    /// The methods of a route that names these: all if it names none, and HEAD where it takes GET (RFC 9110 9.3.2).
    init(_ methods: Set<HTTPRequest.Method>) {
        self = methods.isEmpty ? .all : MethodSet(exactly: methods)
        if contains(.get) { insert(.head) }
    }

    /// These methods and no others.
    init(exactly methods: Set<HTTPRequest.Method>) {
        self.init()
        for method in Method.known where method.request.map(methods.contains) ?? false { insert(method) }
        if !MethodSet.others(methods).isEmpty { insert(.other) }
    }

    /// Those of `methods` that are not known.
    static func others(_ methods: Set<HTTPRequest.Method>) -> Set<String> {
        Set(methods.map(\.rawValue).filter { name in Array(name.utf8).withUnsafeBytes { Method($0) } == nil })
    }
}
