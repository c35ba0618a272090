/// Draws the spans of a trace, gathered from all its nodes, as lines of text:
///
///     trace 4bf92f3577b34da6a3ce929d0e0e4736: 3 spans on 2 nodes in 42.10 ms
///
///       offset   duration  node      span
///      0.00 ms   42.10 ms  main      GET /api/orders  ok  http.response.status_code=201
///      1.20 ms   12.00 ms  main        orders.place
///      3.00 ms    8.00 ms  payments      payments.capture  ERROR card declined
public enum TraceTimeline {
    /// The attributes that are shown, in this order, where a span has them.
    public static let keyAttributes = [
        "http.request.method", "http.route", "http.response.status_code", "messaging.destination.name",
        "messaging.operation.name", "dovetail.module", "dovetail.endpoint", "dovetail.event", "dovetail.saga",
        "dovetail.step", "dovetail.position", "dovetail.attempt", "error.type",
    ]

    /// The lines of a trace. Spans that two nodes report count once; a span whose parent is unknown stands on its own.
    ///
    /// Children follow their parents in the order in which they began, by the clocks of their nodes.
    public static func render(_ spans: [FinishedSpan], attributes: [String] = keyAttributes) -> String {
        let tree = SpanTree(spans)
        guard let summary = TraceSummary(tree.spans) else { return "no spans\n" }
        let rows = tree.rows.map { row in
            Row(
                offset: milliseconds(row.span.start - summary.start), duration: milliseconds(row.span.duration),
                node: printable(row.span.node), text: describe(row, attributes: attributes))
        }
        let header = Row(offset: "offset", duration: "duration", node: "node", text: "span")
        let all = [header] + rows
        let offsetWidth = all.map(\.offset.count).max() ?? 0
        let durationWidth = all.map(\.duration.count).max() ?? 0
        let nodeWidth = all.map(\.node.count).max() ?? 0
        var text = "trace \(summary.traceID): \(counted(summary.spans, "span")) on "
        text += "\(counted(summary.nodes.count, "node")) in \(milliseconds(summary.duration))\n\n"
        for row in all {
            let columns = [
                padded(row.offset, to: offsetWidth, atStart: true),
                padded(row.duration, to: durationWidth, atStart: true),
                padded(row.node, to: nodeWidth, atStart: false), row.text,
            ]
            text += "  " + columns.joined(separator: "  ") + "\n"
        }
        return text
    }

    private struct Row {
        var offset: String
        var duration: String
        var node: String
        var text: String
    }

    private static func describe(_ row: SpanTree.Row, attributes: [String]) -> String {
        let span = row.span
        var text = String(repeating: "  ", count: min(row.depth, 40)) + printable(span.name)
        if row.isOrphan { text += " (parent not found)" }
        switch span.status {
        case .unset: break
        case .ok: text += "  ok"
        case .error: text += "  ERROR" + (span.statusMessage.map { " " + printable($0) } ?? "")
        }
        for name in attributes {
            guard let value = span.attributes[name] else { continue }
            text += "  \(name)=\(printable(value.description))"
        }
        return text
    }

    /// Milliseconds with two digits, without the locale.
    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let hundredths = nanoseconds / 10_000 + (nanoseconds % 10_000 >= 5_000 ? 1 : 0)
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) ms"
    }

    private static func counted(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }

    /// On one line, and without what a terminal would obey.
    private static func printable(_ text: String) -> String {
        String(text.unicodeScalars.prefix(200).map { $0.properties.generalCategory == .control ? " " : Character($0) })
    }

    private static func padded(_ text: String, to width: Int, atStart: Bool) -> String {
        let padding = String(repeating: " ", count: max(0, width - text.count))
        return atStart ? padding + text : text + padding
    }
}

/// Spans in the order of a tree, whatever their parents claim.
struct SpanTree {
    struct Row {
        var span: FinishedSpan
        var depth: Int
        var isOrphan: Bool
    }

    /// Each span once.
    let spans: [FinishedSpan]
    /// Parents before their children.
    private(set) var rows: [Row] = []

    init(_ all: [FinishedSpan]) {
        var seen: Set<SpanID> = []
        spans = all.filter { seen.insert($0.spanID).inserted }
            .sorted { ($0.start, $0.spanID.value) < ($1.start, $1.spanID.value) }
        let children = Dictionary(grouping: spans.filter { $0.parentSpanID.map(seen.contains) ?? false }) {
            $0.parentSpanID
        }
        var visited: Set<SpanID> = []
        for span in spans where span.parentSpanID.map({ !seen.contains($0) }) ?? true {
            add(span, children: children, visited: &visited)
        }
        // What is left goes round in a circle; it begins where it began first.
        for span in spans where !visited.contains(span.spanID) { add(span, children: children, visited: &visited) }
    }

    private mutating func add(
        _ root: FinishedSpan, children: [SpanID?: [FinishedSpan]], visited: inout Set<SpanID>
    ) {
        var open = [(span: root, depth: 0)]
        while let (span, depth) = open.popLast() {
            guard visited.insert(span.spanID).inserted else { continue }
            rows.append(Row(span: span, depth: depth, isOrphan: depth == 0 && span.parentSpanID != nil))
            for child in (children[span.spanID] ?? []).reversed() { open.append((child, depth + 1)) }
        }
    }
}
