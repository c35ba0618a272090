/// Prometheus' text format, version 0.0.4.
public enum PrometheusText {
    /// The media type of what ``render(_:)`` makes.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Families as text, in the order of their names; of two with one name and kind the samples are joined, of two with one name
    /// and different kinds the first one stays, because a scrape that says both is refused as a whole.
    public static func render(_ families: [PrometheusFamily]) -> String {
        var byName: [String: PrometheusFamily] = [:]
        for family in families {
            let name = metricName(family.name)
            if let known = byName[name] {
                if known.kind == family.kind { byName[name]?.samples += family.samples }
            } else {
                byName[name] = family
            }
        }
        var text = ""
        for (name, family) in byName.sorted(by: { $0.key < $1.key }) where !family.samples.isEmpty {
            text += "# HELP \(name) \(escaped(family.help, quotes: false))\n"
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for sample in family.samples { append(sample, of: name, to: &text) }
        }
        return text
    }

    private static func append(_ sample: PrometheusFamily.Sample, of name: String, to text: inout String) {
        text += name + sample.suffix
        if !sample.labels.isEmpty {
            text += "{"
            for (index, label) in sample.labels.enumerated() {
                if index > 0 { text += "," }
                text += "\(labelName(label.name))=\"\(escaped(label.value, quotes: true))\""
            }
            text += "}"
        }
        text += " \(number(sample.value))\n"
    }

    /// A number as Go's `ParseFloat` reads it.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 0x1p53 { return "\(Int64(value))" }
        return "\(value)"
    }

    /// The name with what a metric's name may not hold replaced: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    static func metricName(_ name: String) -> String { sanitised(name, allowingColon: true) }

    /// The name with what a label's name may not hold replaced: `[a-zA-Z_][a-zA-Z0-9_]*`.
    static func labelName(_ name: String) -> String { sanitised(name, allowingColon: false) }

    private static func sanitised(_ name: String, allowingColon: Bool) -> String {
        var bytes: [UInt8] = []
        for byte in name.utf8 {
            let isDigit = (48...57).contains(byte)
            let isLetter = (65...90).contains(byte) || (97...122).contains(byte) || byte == 95
            if bytes.isEmpty && isDigit { bytes.append(95) }
            bytes.append(isDigit || isLetter || (allowingColon && byte == 58) ? byte : 95)
        }
        return bytes.isEmpty ? "_" : String(decoding: bytes, as: UTF8.self)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == 92 || $0 == 10 || $0 == 13 || (quotes && $0 == 34) }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            // Not a line's end in the format, but in many of its readers.
            case "\r": result += " "
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
