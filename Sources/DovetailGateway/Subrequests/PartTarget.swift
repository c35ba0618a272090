/// What a part of an aggregate gets, with places for what the request says.
struct PartTarget: Sendable {
    private enum Piece: Sendable {
        case literal([UInt8])
        /// What the route's path captured, by its index.
        case capture(Int)
        /// A parameter of the request's query.
        case parameter([UInt8])
    }

    private struct Parameter: Sendable {
        var name: [UInt8]
        var value: [Piece]
        /// The parameter of the request that its whole value is; without it, this one is left out.
        var only: [UInt8]?
    }

    private let path: [Piece]
    private let query: [Parameter]

    /// Reads a target; throws ``GatewayConfigurationError`` for one that is none, or that names what the route's path does not capture.
    init(_ text: String, captures: [String], of what: String) throws(GatewayConfigurationError) {
        func refuse(_ reason: String) -> GatewayConfigurationError {
            GatewayConfigurationError("\(what) gets '\(text)', which \(reason)")
        }
        guard text.hasPrefix("/"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else {
            throw refuse("is no path of this gateway")
        }
        func pieces(_ text: Substring) throws(GatewayConfigurationError) -> [Piece] {
            var pieces: [Piece] = []
            var rest = text
            while let open = rest.firstIndex(of: "{") {
                if open > rest.startIndex { pieces.append(.literal(Array(rest[..<open].utf8))) }
                guard let close = rest[open...].firstIndex(of: "}") else {
                    throw refuse("has a brace without its other")
                }
                let name = String(rest[rest.index(after: open)..<close])
                if name.hasPrefix("query.") {
                    pieces.append(.parameter(Array(name.dropFirst(6).utf8)))
                } else if let index = captures.firstIndex(of: name) {
                    pieces.append(.capture(index))
                } else {
                    throw refuse("has a place for '\(name)', which the route's path does not capture")
                }
                rest = rest[rest.index(after: close)...]
            }
            if !rest.isEmpty { pieces.append(.literal(Array(rest.utf8))) }
            return pieces
        }
        let halves = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = try pieces(halves[0])
        var query: [Parameter] = []
        if halves.count > 1 {
            for pair in halves[1].split(separator: "&") {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let value = parts.count > 1 ? try pieces(parts[1]) : []
                var only: [UInt8]?
                if value.count == 1, case .parameter(let name) = value[0] { only = name }
                query.append(Parameter(name: Array(parts[0].utf8), value: value, only: only))
            }
        }
        self.query = query
    }

    /// The target for a request. What the request says stands for itself: nothing in it begins another segment, another parameter or a query.
    func text(captures: [ArraySlice<UInt8>], query said: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        append(path, to: &text, captures, said, isQuery: false)
        var separator = UInt8(ascii: "?")
        for parameter in query {
            if let only = parameter.only, PartTarget.value(of: only, in: said) == nil { continue }
            text.append(separator)
            separator = UInt8(ascii: "&")
            text += parameter.name
            text.append(UInt8(ascii: "="))
            append(parameter.value, to: &text, captures, said, isQuery: true)
        }
        return text
    }

    private func append(
        _ pieces: [Piece], to text: inout [UInt8], _ captures: [ArraySlice<UInt8>], _ query: [UInt8], isQuery: Bool
    ) {
        for piece in pieces {
            switch piece {
            case .literal(let bytes): text += bytes
            case .capture(let index):
                if captures.indices.contains(index) {
                    PartTarget.append(captures[index], to: &text, fromQuery: false, toQuery: isQuery)
                }
            case .parameter(let name):
                let value = PartTarget.value(of: name, in: query) ?? []
                PartTarget.append(value, to: &text, fromQuery: true, toQuery: isQuery)
            }
        }
    }

    /// The first value of a parameter as it was sent.
    private static func value(of name: [UInt8], in query: [UInt8]) -> ArraySlice<UInt8>? {
        for pair in query.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0].elementsEqual(name) { return parts.count > 1 ? parts[1] : [] }
        }
        return nil
    }

    /// Writes what was sent with all but unreserved characters escaped; escapes stay as they are, and a plus is a space only in a query.
    private static func append(_ bytes: ArraySlice<UInt8>, to text: inout [UInt8], fromQuery: Bool, toQuery: Bool) {
        let digits = Array("0123456789ABCDEF".utf8)
        func escape(_ byte: UInt8) { text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            let isEscape =
                byte == UInt8(ascii: "%") && bytes.endIndex - index > 2 && hexValue(bytes[index + 1]) != nil
                && hexValue(bytes[index + 2]) != nil
            if isEscape {
                text += bytes[index..<(index + 3)]
                index += 3
                continue
            }
            if ByteClass.unreserved.contains(byte) {
                text.append(byte)
            } else if byte == UInt8(ascii: "+"), fromQuery {
                escape(0x20)
            } else {
                escape(byte)
            }
            index += 1
        }
    }
}
