import Foundation
import Synchronization

/// Programs run as a user would run them: started, waited for, killed if they take too long.
enum Shell {
    struct Result: Sendable {
        var status: Int32
        var output: String
        var errors: String
        var all: String { output + errors }
    }

    /// Runs a program to its end. One that takes longer than `limit` is killed, which shows as status 9.
    static func run(
        _ program: String, _ arguments: [String], in folder: String? = nil, environment: [String: String] = [:],
        input: String? = nil, limit: Duration = .seconds(60)
    ) async throws -> Result {
        let place = try TemporaryFolder()
        let running = try RunningProgram(
            program, arguments, in: folder, environment: environment, output: place.path + "/out",
            errors: place.path + "/err",
            input: input.map { text in
                let path = place.path + "/in"
                try Data(text.utf8).write(to: URL(fileURLWithPath: path))
                return path
            })
        let status = await running.wait(atMost: limit)
        return Result(
            status: status, output: try String(contentsOfFile: place.path + "/out", encoding: .utf8),
            errors: try String(contentsOfFile: place.path + "/err", encoding: .utf8))
    }
}

/// A program that runs beside the test.
final class RunningProgram: Sendable {
    private let process: Process
    private let ended: AsyncStream<Int32>
    private let status = Mutex<Int32?>(nil)

    init(
        _ program: String, _ arguments: [String], in folder: String? = nil, environment: [String: String] = [:],
        output: String, errors: String, input: @autoclosure () throws -> String? = nil
    ) throws {
        process = Process()
        // Found along PATH unless it is a path.
        process.executableURL = URL(fileURLWithPath: program.contains("/") ? program : "/usr/bin/env")
        process.arguments = program.contains("/") ? arguments : [program] + arguments
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let outputFile = try Self.file(output)
        let errorsFile = output == errors ? outputFile : try Self.file(errors)
        let inputFile = try input().flatMap { FileHandle(forReadingAtPath: $0) }
        process.standardOutput = outputFile
        process.standardError = errorsFile
        process.standardInput = inputFile ?? FileHandle.nullDevice
        let (ended, continuation) = AsyncStream.makeStream(of: Int32.self)
        self.ended = ended
        process.terminationHandler = { process in
            continuation.yield(process.terminationStatus)
            continuation.finish()
        }
        try process.run()
        // The program has them. A process keeps its handles for as long as the tests run, and hundreds are started.
        for file in [outputFile, errorsFile, inputFile] { try? file?.close() }
    }

    private static func file(_ path: String) throws -> FileHandle {
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw CocoaError(.fileWriteUnknown)
        }
        return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }

    var isRunning: Bool { process.isRunning }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// The status it ends with; it is killed after `limit`.
    @discardableResult
    func wait(atMost limit: Duration = .seconds(30)) async -> Int32 {
        if let known = status.withLock({ $0 }) { return known }
        let killer = Task {
            try await Task.sleep(for: limit)
            send(SIGKILL)
        }
        defer { killer.cancel() }
        var result: Int32 = -1
        for await code in ended { result = code }
        status.withLock { $0 = result }
        return result
    }
}

/// A folder that goes when it is no longer held.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory().trimmingSuffix("/") + "/dovetail-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

extension String {
    func trimmingSuffix(_ suffix: String) -> String { hasSuffix(suffix) ? String(dropLast(suffix.count)) : self }
}
