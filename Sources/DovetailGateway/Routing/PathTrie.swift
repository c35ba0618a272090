/// A byte trie of path patterns: literal bytes along the edges, captures as edges of their own.
///
/// A node's label is a run of bytes, so that a path is compared a run at a time. This is the form it is built in;
/// ``FlatTrie`` is the one that is searched.
struct PathTrie: Sendable {
    struct Node: Sendable {
        var label: [UInt8]
        var children: [Int32] = []
        /// The first bytes of the children's labels, in the same order.
        var firstBytes: [UInt8] = []
        var capture: Int32 = -1
        /// Routes whose whole path ends here, by index.
        var routes: [Int32] = []
        /// Routes for everything below, by index.
        var prefixes: [Int32] = []
    }

    private(set) var nodes = [Node(label: [])]

    /// Adds the route of index `route` at `pattern`.
    mutating func insert(_ pattern: PathPattern, route: Int32) {
        var node: Int32 = 0
        for segment in pattern.segments {
            node = literal([0x2F], from: node)
            switch segment {
            case .literal(let text): node = literal(canonical(text), from: node)
            case .capture: node = captureNode(of: node)
            }
        }
        if pattern.kind == .prefix {
            nodes[Int(node)].prefixes.append(route)
        } else {
            nodes[Int(node)].routes.append(route)
        }
    }

    private func canonical(_ text: String) -> [UInt8] {
        var bytes = Array("/\(text)".utf8)
        let range = bytes.withUnsafeMutableBytes { bytes -> ByteRange? in
            try? RequestTarget.canonicalise(bytes, ByteRange(0, bytes.count))
        }
        guard let range else { return Array(text.utf8) }
        return Array(bytes[Int(range.start)...].dropFirst())
    }

    private mutating func captureNode(of node: Int32) -> Int32 {
        if nodes[Int(node)].capture < 0 {
            nodes.append(Node(label: []))
            nodes[Int(node)].capture = Int32(nodes.count - 1)
        }
        return nodes[Int(node)].capture
    }

    private mutating func literal(_ bytes: [UInt8], from node: Int32) -> Int32 {
        var node = node
        var rest = bytes[...]
        while let first = rest.first {
            guard let at = nodes[Int(node)].firstBytes.firstIndex(of: first) else {
                nodes.append(Node(label: Array(rest)))
                nodes[Int(node)].children.append(Int32(nodes.count - 1))
                nodes[Int(node)].firstBytes.append(first)
                return Int32(nodes.count - 1)
            }
            let child = nodes[Int(node)].children[at]
            let label = nodes[Int(child)].label
            let shared = zip(label, rest).prefix { $0 == $1 }.count
            if shared < label.count { split(child, at: shared) }
            node = child
            rest = rest.dropFirst(shared)
        }
        return node
    }

    /// Cuts a node in two; the upper half keeps its index.
    private mutating func split(_ node: Int32, at length: Int) {
        var lower = nodes[Int(node)]
        let label = lower.label
        lower.label = Array(label[length...])
        nodes.append(lower)
        nodes[Int(node)] = Node(
            label: Array(label[..<length]), children: [Int32(nodes.count - 1)], firstBytes: [label[length]])
    }
}
