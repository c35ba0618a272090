import DovetailCore
import NIOCore

/// A plan of several requests as one loop uses it.
enum GatheringPlan {
    case batch(BatchPolicy)
    case aggregate(AggregatePlan, targets: [PartTarget])

    /// Throws ``GatewayConfigurationError`` for parts that could not be got.
    init(_ plan: AggregatePlan, route: Route) throws(GatewayConfigurationError) {
        var targets: [PartTarget] = []
        for part in plan.parts {
            targets.append(
                try PartTarget(
                    part.target, captures: route.path.captures, of: "the part '\(part.name)' of route '\(route.id)'"))
        }
        self = .aggregate(plan, targets: targets)
    }
}

/// A request that is answered by several of the gateway's own, which are made at once: a batch, or an aggregate.
///
/// It lives on its exchange's loop. What has not been answered when the route's timeout is over is left, and the others' answers are given.
final class Gathering {
    private let plan: GatheringPlan
    private unowned let exchange: Exchange
    private let worker: Worker
    private var body: [UInt8] = []
    private var entries: [BatchEntry] = []
    private var running: [Int: Subrequest] = [:]
    private var outcomes: [PartOutcome?] = []
    private var hasBegun = false
    private var isOver = false

    init(_ plan: GatheringPlan, exchange: Exchange) {
        self.plan = plan
        self.exchange = exchange
        worker = exchange.worker
    }

    func append(_ slice: ByteBuffer) {
        if case .batch = plan { body.append(contentsOf: slice.readableBytesView) }
    }

    /// Makes the requests: the body is whole.
    func run() {
        if let purpose = exchange.client.origin?.purpose, isNested(in: purpose) {
            return refuse(
                Problem("nested", status: 400)("batches and aggregates are not made of batches and aggregates"))
        }
        switch plan {
        case .batch(let policy):
            do {
                entries = try BatchEntry.read(body, upTo: policy.maximum)
            } catch {
                return refuse((error as? Problem) ?? Problem("malformed-batch", status: 400))
            }
            body = []
            begin(
                RequestOrigin(.batch, of: exchange), AnswerBudget(policy.maximumAnswerBytes),
                entries.map { $0.request.map(composed) })
        case .aggregate(let plan, let targets):
            let (captures, query) = exchange.headBytes.withUnsafeReadableBytes { bytes in
                (
                    exchange.captures.ranges.map { ArraySlice(bytes[$0]) },
                    exchange.head.query.map { Array(bytes[$0]) } ?? []
                )
            }
            begin(
                RequestOrigin(.aggregate, of: exchange), AnswerBudget(plan.maximumAnswerBytes),
                targets.map { target in
                    var bytes = exchange.beginSubrequest(.get, target: target.text(captures: captures, query: query))
                    bytes.writeLiteral("\r\n")
                    return .success((.get, bytes))
                })
        }
    }

    /// An aggregate may be an entry of a batch; nothing else contains another.
    private func isNested(in purpose: RequestOrigin.Purpose) -> Bool {
        if case .aggregate = plan, purpose == .batch { return false }
        return true
    }

    private func composed(_ request: BatchEntry.Request) -> (Method, ByteBuffer) {
        var bytes = exchange.beginSubrequest(
            request.method, target: request.target, replaced: Set(request.fields.map(\.name)))
        for (name, value) in request.fields {
            bytes.writeBytes(name)
            bytes.writeLiteral(": ")
            bytes.writeBytes(value)
            bytes.writeLiteral("\r\n")
        }
        if !request.body.isEmpty || !request.method.isSafe {
            bytes.writeLiteral("content-length: ")
            bytes.writeDecimal(request.body.count)
            bytes.writeLiteral("\r\n")
        }
        bytes.writeLiteral("\r\n")
        bytes.writeBytes(request.body)
        return (request.method, bytes)
    }

    private func begin(
        _ origin: RequestOrigin, _ budget: AnswerBudget, _ requests: [Result<(Method, ByteBuffer), Problem>]
    ) {
        hasBegun = true
        outcomes = requests.map { request in
            if case .failure(let problem) = request { .problem(problem) } else { nil }
        }
        for (index, request) in requests.enumerated() {
            guard case .success(let (method, bytes)) = request else { continue }
            running[index] = Subrequest(bytes, method: method, origin: origin, budget: budget, worker: worker) {
                self.ended(index, $0)
            }
        }
        finishIfDone()
    }

    private func ended(_ index: Int, _ outcome: SubrequestOutcome) {
        guard !isOver else { return }
        let client = exchange.client
        running[index] = nil
        outcomes[index] =
            switch outcome {
            case .answer(let answer): .answer(answer)
            case .brokeOff: .problem(Problem("answer-lost", status: 502)("its answer broke off"))
            case .tooLarge:
                .problem(Problem("answer-too-large", status: 502)("the answers are larger than this route allows"))
            }
        finishIfDone()
        // There is no read event that would flush.
        client.flush()
    }

    /// The route's time is over; false if there is nothing to answer with.
    func deadlineReached() -> Bool {
        guard hasBegun, !isOver else { return false }
        let client = exchange.client
        for subrequest in running.values { subrequest.cancel() }
        running = [:]
        for index in outcomes.indices where outcomes[index] == nil {
            outcomes[index] = .problem(
                Problem("deadline-exceeded", status: 504)("no answer came within the route's timeout"))
        }
        finishIfDone()
        client.flush()
        return true
    }

    /// The exchange leaves.
    func cancel() {
        isOver = true
        for subrequest in running.values { subrequest.cancel() }
        running = [:]
    }

    private func refuse(_ problem: Problem) {
        isOver = true
        exchange.responder = .none
        exchange.reject(.malformed, problem)
    }

    private func finishIfDone() {
        let known = outcomes.compactMap { $0 }
        guard !isOver, known.count == outcomes.count else { return }
        isOver = true
        exchange.responder = .none
        switch plan {
        case .batch:
            answer(GatheredAnswers.batch(zip(entries, known).map { ($0.id, $1) }))
        case .aggregate(let plan, _):
            do throws(Problem) {
                answer(try GatheredAnswers.aggregate(Array(zip(plan.parts, known))))
            } catch {
                exchange.reject(.upstream, error)
            }
        }
    }

    /// Answers. It is not kept anywhere: what of it may be is known to the routes of its parts, which keep it.
    private func answer(_ json: [UInt8]) {
        let fields = [("content-type", "application/json"), ("cache-control", "no-store")]
        exchange.answer(status: 200, reason: "OK", fields: exchange.edited(fields), body: json)
    }
}
