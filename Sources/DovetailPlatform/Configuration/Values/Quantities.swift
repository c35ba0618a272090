import DovetailResilience

extension ConfigurationType where Value == Duration {
    /// A time longer than zero.
    static var duration: ConfigurationType { duration(orZero: false) }

    /// A time, at most a year.
    static func duration(orZero: Bool) -> ConfigurationType {
        text(
            "a duration such as 250ms, 2s, 1m or 1h", pattern: "^[0-9]+(ms|s|m|h|d)$", example: .seconds(1)
        ) { text in
            let digits = text.prefix { $0.isASCII && $0.isNumber }
            guard let number = Int64(digits), number <= 31_536_000_000, orZero || number > 0 else { return nil }
            let duration: Duration
            switch text.dropFirst(digits.count) {
            case "ms": duration = .milliseconds(number)
            case "s": duration = .seconds(number)
            case "m": duration = .seconds(number * 60)
            case "h": duration = .seconds(number * 3_600)
            case "d": duration = .seconds(number * 86_400)
            default: return nil
            }
            return duration <= .seconds(366 * 86_400) ? duration : nil
        }
    }
}

extension ConfigurationType where Value == Int {
    /// A whole number.
    static func integer(_ range: ClosedRange<Int>) -> ConfigurationType {
        let schema: SchemaValue = [
            "type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound),
        ]
        return scalar(
            "a whole number from \(range.lowerBound) to \(range.upperBound)", schema: schema, example: range.lowerBound
        ) { text in
            guard let number = Int(text), range.contains(number), String(number) == text else { return nil }
            return number
        }
    }

    /// A number for each second.
    static var perSecond: ConfigurationType {
        text("a rate a second such as 10/s", pattern: "^[0-9]{1,6}/s$", example: 10) { text in
            guard text.hasSuffix("/s"), let number = Int(text.dropLast(2)), (0...999_999).contains(number),
                "\(number)/s" == text
            else { return nil }
            return number
        }
    }

    /// A number of bytes.
    static func byteCount(_ range: ClosedRange<Int>) -> ConfigurationType {
        let schema: SchemaValue = [
            "anyOf": [
                ["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)],
                ["type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$"],
            ]
        ]
        let most = range.upperBound >= 1 << 30 ? "\(range.upperBound >> 30)GiB" : "\(range.upperBound >> 10)KiB"
        return scalar(
            "a size such as 64KiB or 1MiB, from \(range.lowerBound) bytes to \(most)", schema: schema,
            example: range.lowerBound
        ) { text in
            let digits = text.prefix { $0.isASCII && $0.isNumber }
            let shift: Int
            switch text.dropFirst(digits.count) {
            case "", "B": shift = 0
            case "KiB": shift = 10
            case "MiB": shift = 20
            case "GiB": shift = 30
            default: return nil
            }
            guard let number = Int(digits), number <= Int.max >> shift, range.contains(number << shift) else {
                return nil
            }
            return number << shift
        }
    }
}

extension ConfigurationType where Value == Double {
    /// A share of a whole, from 0 to 1.
    static var ratio: ConfigurationType {
        let schema: SchemaValue = [
            "anyOf": [
                ["type": "number", "minimum": 0, "maximum": 1],
                ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%?$"],
            ]
        ]
        return scalar("a share such as 20% or 0.2", schema: schema, example: 0) { text in
            let isPercentage = text.hasSuffix("%")
            let digits = isPercentage ? text.dropLast() : text[...]
            guard digits.utf8.first != 46, digits.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 }),
                let number = Double(digits)
            else { return nil }
            let share = isPercentage ? number / 100 : number
            return (0...1).contains(share) ? share : nil
        }
    }
}

extension ConfigurationType where Value == RateLimit {
    /// So many in so much time.
    static var rate: ConfigurationType {
        text(
            "a rate such as 100/s",
            pattern: "^[0-9]+/[0-9]*(ms|s|sec|second|m|min|minute|h|hour|d|day)( burst [0-9]+)?$",
            example: RateLimit(1, per: .seconds(1))
        ) { text in try? RateLimit(parsing: text) }
    }
}

extension ConfigurationType where Value == Bool {
    /// Yes or no, in YAML 1.2's words.
    static var flag: ConfigurationType {
        scalar("true or false", schema: ["type": "boolean"], example: false) { text in
            text == "true" ? true : text == "false" ? false : nil
        }
    }
}

extension ConfigurationType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One word of those that an enumeration has; `reserved` ones have a meaning to come.
    static func keyword(example: Value, reserved: [String] = []) -> ConfigurationType {
        let words = Value.allCases.map(\.rawValue)
        // A reader of YAML 1.1 takes a bare `off` for the boolean.
        let schema: SchemaValue = [
            "enum": .array(words.map(SchemaValue.string) + (words.contains("off") ? [false] : []))
        ]
        let later = reserved.isEmpty ? "" : " (\(reserved.joined(separator: ", ")): not supported yet)"
        return scalar("one of \(words.joined(separator: ", "))\(later)", schema: schema, example: example) {
            Value(rawValue: $0)
        }
    }
}

extension ConfigurationType {
    /// The word `none`, for something that is there unless it is said not to be.
    static func none<Wrapped>() -> ConfigurationType where Value == Wrapped? {
        scalar("none", schema: ["const": "none"], example: nil) { text in text == "none" ? .some(nil) : nil }
    }
}
