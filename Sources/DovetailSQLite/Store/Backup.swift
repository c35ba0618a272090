import DovetailCore
import DovetailEvents
import Foundation
import SQLiteBinding
import Synchronization

/// What a backup says of itself: `backup.json` in its folder.
public struct BackupManifest: Sendable, Codable {
    /// The log that was backed up.
    public var log: UniqueID
    /// The life of the log that it was in.
    public var epoch: Int
    /// The number of the last event in it.
    public var head: Int64
    /// When it was taken.
    public var takenAt: Date
    /// The files in it.
    public var files: [String]
}

/// How far a long work has come.
public struct StoreProgress: Sendable {
    /// What is being done, in a few words.
    public var step: String
    /// From 0 to 1.
    public var done: Double
}

/// Copies of a store, taken while it is at work, and stores made of them.
enum Backup {
    static let manifest = "backup.json"

    /// Copies the read models and then the log into a new folder: so a read model is never ahead of its log.
    static func take(
        of path: String, into folder: String, progress: @escaping @Sendable (StoreProgress) -> Void
    ) throws -> BackupManifest {
        let files = FileManager.default
        guard !files.fileExists(atPath: folder) else {
            throw LogError(.readOnly, folder, "there is something already; name a folder that is not there yet")
        }
        let views = URL(fileURLWithPath: path).deletingLastPathComponent().path + "/views"
        let names = ((try? files.contentsOfDirectory(atPath: views)) ?? []).filter { $0.hasSuffix(".db") }.sorted()
        // Under another name until it is whole: half a backup is none.
        let partial = folder + ".partial"
        try? files.removeItem(atPath: partial)
        do {
            try files.createDirectory(atPath: partial + "/views", withIntermediateDirectories: true)
        } catch {
            throw LogError(
                .readOnly, folder, "it cannot be made (\(error.localizedDescription)); check its permissions")
        }
        do {
            for name in names {
                try copy("\(views)/\(name)", to: "\(partial)/views/\(name)") {
                    progress(.init(step: "views/\(name)", done: $0))
                }
            }
            try copy(path, to: "\(partial)/log.db") { progress(.init(step: "log.db", done: $0)) }
            let manifest = try describe("\(partial)/log.db", views: names)
            try Data(try JSON.encode(manifest)).write(to: URL(fileURLWithPath: "\(partial)/\(Backup.manifest)"))
            try Durable.synchronize(partial)
            try files.moveItem(atPath: partial, toPath: folder)
            try Durable.synchronize(URL(fileURLWithPath: folder).deletingLastPathComponent().path, deep: false)
            return manifest
        } catch {
            try? files.removeItem(atPath: partial)
            throw (error as? SQLiteFailure)?.error(folder) ?? error
        }
    }

    private static func copy(_ source: String, to target: String, progress: (Double) -> Void) throws {
        let connection = try SQLiteConnection(path: source)
        try connection.run("PRAGMA query_only = ON")
        try connection.copy(to: target, progress: progress)
    }

    private static func describe(_ path: String, views: [String]) throws -> BackupManifest {
        let connection = try SQLiteConnection(path: path, checkpointsOnClose: true)
        let identity = try LogSchema.identity(connection)
        guard case .integer(let head)? = try connection.value("SELECT value FROM dovetail_meta WHERE name = 'position'")
        else { throw LogError(.unreadable, path, "its last number is missing") }
        return BackupManifest(
            log: identity.log, epoch: identity.epoch, head: head, takenAt: Date(),
            files: ["log.db"] + views.map { "views/\($0)" })
    }

    /// Makes a store of a backup, in a new life: positions from before are told apart from those to come.
    static func restore(
        _ folder: String, to path: String, progress: @escaping @Sendable (StoreProgress) -> Void
    ) throws -> BackupManifest {
        let files = FileManager.default
        var manifest: BackupManifest
        do {
            manifest = try JSON.decode(
                BackupManifest.self,
                from: Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(Backup.manifest)"))))
        } catch {
            throw LogError(.unreadable, folder, "it is no backup: \(Backup.manifest) cannot be read (\(error))")
        }
        let home = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let taken = [path, home + "/views"].first { files.fileExists(atPath: $0) }
        if let taken {
            throw LogError(.readOnly, taken, "it is there already; move it away first, or restore into another folder")
        }
        do { try files.createDirectory(atPath: home, withIntermediateDirectories: true) } catch {
            throw LogError(.readOnly, home, "it cannot be made (\(error.localizedDescription)); check its permissions")
        }
        let lock = try StoreLock(path: path + ".lock")
        defer { lock.release() }
        do {
            let views = manifest.files.filter { $0.hasPrefix("views/") && !$0.contains("..") }
            if !views.isEmpty { try files.createDirectory(atPath: home + "/views", withIntermediateDirectories: true) }
            for name in views {
                progress(.init(step: name, done: 0))
                try files.copyItem(atPath: "\(folder)/\(name)", toPath: "\(home)/\(name)")
            }
            progress(.init(step: "log.db", done: 0))
            // Last, and under its name only when it is whole: a store without its log does not open.
            let partial = path + ".partial"
            try? files.removeItem(atPath: partial)
            try files.copyItem(atPath: "\(folder)/log.db", toPath: partial)
            let before = manifest.epoch
            manifest.epoch = try beginLife(partial, after: before)
            for file in views.map({ "\(home)/\($0)" }) + [partial] { try follow(file, manifest, from: before) }
            try Durable.synchronize(home)
            try files.moveItem(atPath: partial, toPath: path)
            try Durable.synchronize(home, deep: false)
            return manifest
        } catch {
            throw (error as? SQLiteFailure)?.error(path) ?? error
        }
    }

    private static func beginLife(_ path: String, after epoch: Int) throws -> Int {
        let connection = try SQLiteConnection(path: path, checkpointsOnClose: true)
        try LogSchema.prepare(connection)
        // The time makes it another life also when the same backup is restored twice.
        let next = max(epoch + 1, Int(Date().timeIntervalSince1970 * 1000))
        try connection.run("UPDATE dovetail_meta SET value = \(next) WHERE name = 'epoch'")
        return try LogSchema.identity(connection).epoch
    }

    /// Read models, and effects in the log's own file, that were backed up with it go on in its new life; they were never ahead of it.
    private static func follow(_ path: String, _ manifest: BackupManifest, from epoch: Int) throws {
        let connection = try SQLiteConnection(path: path, checkpointsOnClose: true)
        guard try connection.value("SELECT count(*) FROM sqlite_master WHERE name = 'dovetail_cursors'") == .integer(1)
        else { return }
        try connection.run(
            "UPDATE dovetail_cursors SET epoch = \(manifest.epoch) WHERE log = '\(manifest.log)' AND epoch = \(epoch) AND scanned <= \(manifest.head)"
        )
    }
}

/// Makes files last through a loss of power.
private enum Durable {
    /// Synchronizes a folder, and with `deep` all files in it.
    static func synchronize(_ folder: String, deep: Bool = true) throws {
        var paths = [folder]
        if deep, let names = FileManager.default.enumerator(atPath: folder) {
            for case let name as String in names { paths.append("\(folder)/\(name)") }
        }
        for path in paths {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            guard fsync(descriptor) == 0 else {
                throw LogError(
                    .outcomeUnknown, path, "it could not be made durable (\(String(cString: strerror(errno))))")
            }
        }
    }
}
