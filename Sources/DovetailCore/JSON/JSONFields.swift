/// Path and query parameters as members of the top-level object.
extension JSONTokenList {
    /// Adds each field to the top-level object, in place of a member of its name. Empty `bytes` stand for `{}`.
    mutating func overlay(_ fields: [JSON.Field], on bytes: [UInt8], side: inout [UInt8]) throws {
        if count == 0 {
            append(
                JSONToken(start: 0, end: 0, next: 1, parent: JSONToken.none, mark: 1, kind: .object, flags: []))
        }
        guard base[0].kind == .object else {
            throw JSONError(pointer: "", expected: "an object", found: "another value", offset: 0)
        }
        var places: [String: [Int]] = [:]
        for (place, field) in fields.enumerated() { places[field.name, default: []].append(place) }
        supersede(Set(places.keys), in: bytes, side)
        for (place, field) in fields.enumerated() {
            guard let group = places[field.name], group.first == place else { continue }
            append(.name, parent: 0, place, text: field.name, &side)
            guard group.count > 1 else {
                append(.field, parent: 0, place, text: field.value, &side)
                continue
            }
            let list = count
            append(.fields, parent: 0, place, text: "", &side)
            for element in group { append(.field, parent: list, element, text: fields[element].value, &side) }
            base[list].next = UInt32(count)
        }
        base[0].next = UInt32(count)
    }

    private mutating func append(
        _ kind: JSONToken.Kind, parent: Int, _ place: Int, text: String, _ side: inout [UInt8]
    ) {
        let start = UInt32(side.count)
        side += Array(text.utf8)
        append(
            JSONToken(
                start: start, end: UInt32(side.count), next: UInt32(count + 1), parent: UInt32(parent),
                mark: UInt32(place), kind: kind, flags: .aside))
    }

    private func supersede(_ names: Set<String>, in bytes: [UInt8], _ side: [UInt8]) {
        var index = 1
        while index < count {
            let name = base[index]
            let text = (name.flags.contains(.aside) ? side : bytes)[Int(name.start)..<Int(name.end)]
            if names.contains(String(decoding: text, as: UTF8.self)) { base[index].flags.insert(.superseded) }
            index = Int(base[index + 1].next)
        }
    }
}
