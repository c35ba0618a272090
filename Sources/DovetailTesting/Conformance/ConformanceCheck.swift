import DovetailCore
import DovetailEvents

/// A store that a check is run against.
public struct StoreUnderTest: Sendable {
    /// The log, empty.
    public var log: any EventLog
    /// The read models of a module.
    public var views: @Sendable (_ module: String) throws -> any Database

    /// A store.
    public init(log: any EventLog, views: @escaping @Sendable (_ module: String) throws -> any Database) {
        self.log = log
        self.views = views
    }
}

/// One sentence that a backend promises, and how to find out whether it keeps it.
public struct ConformanceCheck: Sendable, CustomStringConvertible {
    /// The promise.
    public let description: String
    private let body: @Sendable (StoreUnderTest) async throws -> Void

    init(_ description: String, _ body: @escaping @Sendable (StoreUnderTest) async throws -> Void) {
        self.description = description
        self.body = body
    }

    /// Throws if the store, which has to be empty, breaks the promise.
    public func run(on store: StoreUnderTest) async throws {
        try await body(store)
    }
}

/// A promise that was not kept.
public struct ConformanceFailure: Error, CustomStringConvertible {
    /// What was expected and what happened, with the place of the check.
    public let description: String
}

func expect(
    _ condition: Bool, _ message: @autoclosure () -> String, file: String = #fileID, line: Int = #line
) throws {
    guard condition else { throw ConformanceFailure(description: "\(file):\(line): \(message())") }
}

func expectEqual<Value: Equatable>(
    _ found: Value, _ expected: Value, _ what: String, file: String = #fileID, line: Int = #line
) throws {
    try expect(found == expected, "\(what): expected \(expected), found \(found)", file: file, line: line)
}

/// Expects `body` to fail with `code`.
@discardableResult
func expectFailure<Value>(
    _ code: LogError.Code, _ what: String, file: String = #fileID, line: Int = #line,
    _ body: () async throws -> Value
) async throws -> LogError {
    do {
        _ = try await body()
    } catch let error as LogError {
        try expectEqual(error.code, code, "\(what) (\(error))", file: file, line: line)
        return error
    }
    throw ConformanceFailure(description: "\(file):\(line): \(what): expected \(code.rawValue), and it succeeded")
}
