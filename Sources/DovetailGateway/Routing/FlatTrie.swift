/// A finished path trie: nodes of plain numbers over shared arrays, searched without touching a reference count.
struct FlatTrie: Sendable {
    struct Node: Sendable {
        /// In `labels`.
        var label: ByteRange
        /// In `children` and `firstBytes`, sorted by first byte.
        var children: ByteRange
        var capture: Int32
        /// In `routes`: those whose path ends here, and those for everything below.
        var routes: ByteRange
        var prefixes: ByteRange
    }

    private var nodes: [Node] = []
    private var labels: [UInt8] = []
    private var children: [Int32] = []
    private var firstBytes: [UInt8] = []
    private var routes: [Int32] = []

    init(_ trie: PathTrie) {
        for node in trie.nodes {
            let edges = zip(node.firstBytes, node.children).sorted { $0.0 < $1.0 }
            nodes.append(
                Node(
                    label: ByteRange(labels.count, labels.count + node.label.count),
                    children: ByteRange(children.count, children.count + edges.count), capture: node.capture,
                    routes: ByteRange(routes.count, routes.count + node.routes.count),
                    prefixes: ByteRange(
                        routes.count + node.routes.count, routes.count + node.routes.count + node.prefixes.count)))
            labels += node.label
            children += edges.map(\.1)
            firstBytes += edges.map(\.0)
            routes += node.routes + node.prefixes
        }
    }

    /// The trie's arrays, for the time of one search.
    struct View {
        let nodes: UnsafeBufferPointer<Node>
        let labels: UnsafeBufferPointer<UInt8>
        let children: UnsafeBufferPointer<Int32>
        let firstBytes: UnsafeBufferPointer<UInt8>
        let routes: UnsafeBufferPointer<Int32>

        /// The child of `node` whose label starts with `byte`; -1 if there is none.
        @inline(__always)
        func child(of node: Node, startingWith byte: UInt8) -> Int32 {
            for index in node.children.start..<node.children.end where firstBytes[Int(index)] == byte {
                return children[Int(index)]
            }
            return -1
        }

        @inline(__always)
        func matches(_ label: ByteRange, _ bytes: UnsafeRawBufferPointer, _ position: Int) -> Bool {
            for index in 0..<label.count where labels[Int(label.start) &+ index] != bytes[position &+ index] {
                return false
            }
            return true
        }
    }

    @inline(__always)
    func withView<Result>(_ body: (View) -> Result) -> Result {
        nodes.withUnsafeBufferPointer { nodes in
            labels.withUnsafeBufferPointer { labels in
                children.withUnsafeBufferPointer { children in
                    firstBytes.withUnsafeBufferPointer { firstBytes in
                        routes.withUnsafeBufferPointer { routes in
                            body(
                                View(
                                    nodes: nodes, labels: labels, children: children, firstBytes: firstBytes,
                                    routes: routes))
                        }
                    }
                }
            }
        }
    }
}
