import DovetailContracts
import DovetailEvents

/// What reads one kind of event: which versions, and how.
package struct EventReader: Sendable {
    /// The topic.
    package let name: String
    /// The versions that it reads.
    package let versions: ClosedRange<Int>
    /// Reads a stored payload, and throws what keeps it from that.
    package let read: @Sendable (_ data: [UInt8], _ version: Int) throws -> Void

    package init(_ event: EventDescription) {
        name = event.name
        versions = event.versions
        read = { _ = try event.decode($0, $1) }
    }

    /// Passes a version over, whatever it says.
    package init(passingOver name: String, _ version: Int) {
        self.name = name
        versions = version...version
        read = { _, _ in }
    }
}

/// The kinds of events that one part of a program reads: a contract, an aggregate, a read model.
package struct EventReaders: Sendable {
    /// Which part.
    package let name: String
    private let byName: [String: [EventReader]]
    /// The first part of the names of the streams that are its own, if it is an aggregate: it reads all that is in them, and nothing else.
    private let category: String?

    package init(_ name: String, _ readers: [EventReader], category: String? = nil) {
        self.name = name
        self.category = category
        byName = Dictionary(grouping: readers, by: \.name)
    }

    /// The topics that it reads.
    package var topics: Set<String> { Set(byName.keys) }

    /// Reads a stored event as the part would; false if it is none of its business. Throws ``EventVersionError`` for a version that it does not read.
    package func read(_ event: StoredEvent) throws -> Bool {
        let (name, version) = (event.type, event.version)
        if let category, event.stream?.name.hasPrefix(category + "-") != true { return false }
        guard let readers = byName[name] else {
            guard category != nil else { return false }
            throw UnknownEventError(event: name)
        }
        // One of the version itself goes before one that an upcaster leads to.
        let able = readers.filter { $0.versions.contains(version) }
        guard let reader = able.first(where: { $0.versions.upperBound == version }) ?? able.first else {
            let newest = readers.max { $0.versions.upperBound < $1.versions.upperBound }
            throw EventVersionError(
                event: name, stored: version, wanted: newest?.versions.upperBound ?? 0,
                oldest: newest?.versions.lowerBound ?? 0)
        }
        try reader.read(event.data, version)
        return true
    }
}

/// An event in the stream of an aggregate that has no function for it.
struct UnknownEventError: Error, CustomStringConvertible {
    let event: String

    var description: String { "it has no apply for '\(event)'; add one, if it only passes it over" }
}
