import DovetailCore
import DovetailEvents
import SQLiteBinding
import Synchronization

/// What a writer is asked to do.
enum Request: Sendable {
    /// Data: events to append, prepared by the caller.
    case append(AppendRequest)
    /// A closure, in a savepoint of its own.
    case closure(any ClosureRequest)

    /// About how much memory it holds while it waits.
    var bytes: Int {
        switch self {
        case .append(let request): request.bytes
        case .closure: 256
        }
    }

    /// Ends it without effect.
    func fail(_ error: any Error) {
        switch self {
        case .append(let request): request.ticket.fulfil(.failure(error))
        case .closure(let request): request.fail(error)
        }
    }
}

/// Appends that are made together or not at all.
final class AppendRequest: Sendable {
    let appends: [PreparedAppend]
    let bytes: Int
    let ticket = Ticket<Appended>()

    init(_ appends: [Append]) {
        self.appends = appends.map(PreparedAppend.init)
        bytes = self.appends.reduce(128) { $0 + $1.bytes }
    }
}

/// A transaction's closure whose result type is not known here.
protocol ClosureRequest: AnyObject, Sendable {
    var label: String { get }
    var role: TransactionRole { get }
    /// Takes it up: false if it was cancelled meanwhile.
    func take() -> Bool
    /// Runs it once more; the result is kept until the transaction's end.
    func run(with runner: ClosureRunner, append: @escaping (Append) throws -> Appended, undo: () -> Void)
        -> ClosureRunner.Outcome<Void>
    /// Tells the caller the result of the last run.
    func succeed()
    /// Tells the caller that nothing was done.
    func fail(_ error: any Error)
}

/// A transaction's closure with the caller who waits for it.
final class Work<Value: Sendable>: ClosureRequest {
    private enum State {
        case waiting
        case taken(Value?)
        case cancelled
    }

    let label: String
    let role: TransactionRole
    private let context: CallContext?
    private let body: @Sendable (Transaction) throws -> Value
    private let state = Mutex(State.waiting)
    let ticket = Ticket<Value>()

    init(
        _ label: String, role: TransactionRole, context: CallContext?,
        body: @escaping @Sendable (Transaction) throws -> Value
    ) {
        self.label = label
        self.role = role
        self.context = context
        self.body = body
    }

    /// Withdraws it, unless the writer has it already.
    func cancel() {
        let withdrawn = state.withLock { state in
            guard case .waiting = state else { return false }
            state = .cancelled
            return true
        }
        if withdrawn { ticket.fulfil(.failure(CancellationError())) }
    }

    func take() -> Bool {
        state.withLock { state in
            if case .cancelled = state { return false }
            state = .taken(nil)
            return true
        }
    }

    func run(
        with runner: ClosureRunner, append: @escaping (Append) throws -> Appended, undo: () -> Void
    ) -> ClosureRunner.Outcome<Void> {
        switch runner.run(label, as: role, context: context, append: append, undo: undo, body) {
        case .done(let value):
            state.withLock { $0 = .taken(value) }
            return .done(())
        case .failed(let error): return .failed(error)
        case .brokeTransaction(let error): return .brokeTransaction(error)
        }
    }

    func succeed() {
        let value: Value? = state.withLock { state in
            guard case .taken(let value) = state else { return nil }
            return value
        }
        if let value { ticket.fulfil(.success(value)) }
    }

    func fail(_ error: any Error) {
        ticket.fulfil(.failure(error))
    }
}
