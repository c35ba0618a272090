/// Numbers from their text, which is known to follow JSON's grammar. Nil where the type cannot hold the value.
enum JSONNumber {
    /// The exact value; `1.0` and `1e2` are integers, `1.5` is not.
    @inline(__always)
    static func integer<I: FixedWidthInteger>(_ type: I.Type, _ text: UnsafeBufferPointer<UInt8>) -> I? {
        guard text.count <= 18 else { return exactly(type, text) }
        var magnitude: Int64 = 0
        let isNegative = text.first == UInt8(ascii: "-")
        for index in (isNegative ? 1 : 0)..<text.count {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return exactly(type, text) }
            magnitude = magnitude &* 10 &+ Int64(digit)
        }
        return I(exactly: isNegative ? -magnitude : magnitude)
    }

    /// Any number that is whole and fits: digits without trailing zeros, times a power of ten.
    @inline(never)
    private static func exactly<I: FixedWidthInteger>(_ type: I.Type, _ text: UnsafeBufferPointer<UInt8>) -> I? {
        let number = Parts(text)
        guard number.significant > 0 else { return 0 }
        guard number.exponent >= 0, number.exponent <= 40 else { return nil }
        var value: I = 0
        func append(_ digit: UInt8) -> Bool {
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) =
                number.isNegative
                ? scaled.subtractingReportingOverflow(I(digit)) : scaled.addingReportingOverflow(I(digit))
            value = sum
            return !overflow && !carry
        }
        var left = number.significant
        for byte in text where left > 0 {
            guard byte &- UInt8(ascii: "0") < 10 else { continue }
            guard append(byte - UInt8(ascii: "0")) else { return nil }
            left -= 1
        }
        for _ in 0..<number.exponent {
            guard append(0) else { return nil }
        }
        return value
    }

    /// The nearest double, ties to even; nil beyond the largest.
    static func double(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        if let (mantissa, exponent, isNegative) = short(text), mantissa <= 1 << 53, abs(exponent) <= 22 {
            // Both factors are exact, so one rounding happens (Clinger's fast path).
            let power = powers[abs(exponent)]
            let magnitude = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
            return isNegative ? -magnitude : magnitude
        }
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    /// The nearest float, rounded once; nil beyond the largest.
    static func float(_ text: UnsafeBufferPointer<UInt8>) -> Float? {
        if let (mantissa, exponent, isNegative) = short(text), mantissa <= 1 << 24, abs(exponent) <= 10 {
            let power = Float(powers[abs(exponent)])
            let magnitude = exponent < 0 ? Float(mantissa) / power : Float(mantissa) * power
            return isNegative ? -magnitude : magnitude
        }
        guard let value = Float(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    private static let powers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// A number of at most 18 digits as an integer times a power of ten.
    private static func short(
        _ text: UnsafeBufferPointer<UInt8>
    ) -> (mantissa: UInt64, exponent: Int, isNegative: Bool)? {
        guard text.count <= 18 else { return nil }
        var mantissa: UInt64 = 0
        var fraction = 0
        var isFraction = false
        for (index, byte) in text.enumerated() {
            let digit = byte &- UInt8(ascii: "0")
            if digit < 10 {
                mantissa = mantissa &* 10 &+ UInt64(digit)
                if isFraction { fraction += 1 }
            } else if byte == UInt8(ascii: ".") {
                isFraction = true
            } else if index > 0 {
                return (mantissa, Parts.exponent(text, after: index) - fraction, text[0] == UInt8(ascii: "-"))
            }
        }
        return (mantissa, -fraction, text.first == UInt8(ascii: "-"))
    }

    /// A number as digits and exponent, without its trailing zeros.
    private struct Parts {
        var isNegative = false
        /// The number of digits up to the last that is not zero.
        var significant = 0
        /// The power of ten of the last significant digit.
        var exponent = 0

        init(_ text: UnsafeBufferPointer<UInt8>) {
            var digits = 0
            var fraction = 0
            var isFraction = false
            for (index, byte) in text.enumerated() {
                if byte == UInt8(ascii: "-") {
                    isNegative = true
                } else if byte == UInt8(ascii: ".") {
                    isFraction = true
                } else if byte | 0x20 == UInt8(ascii: "e") {
                    exponent = Self.exponent(text, after: index)
                    break
                } else {
                    digits += 1
                    if isFraction { fraction += 1 }
                    if byte != UInt8(ascii: "0") { significant = digits }
                }
            }
            exponent += digits - significant - fraction
        }

        /// The exponent behind the `e` at `index`, held to what no document's length makes up for.
        static func exponent(_ text: UnsafeBufferPointer<UInt8>, after index: Int) -> Int {
            var value = 0
            for byte in text[(index + 1)...] where byte &- UInt8(ascii: "0") < 10 {
                value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 1 << 40)
            }
            return text[index + 1] == UInt8(ascii: "-") ? -value : value
        }
    }
}
