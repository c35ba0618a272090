import DovetailCQRS
import DovetailCore
import DovetailEvents
import DovetailSagas
import ServiceLifecycle

/// A module at work on a node: its log, its commands, its read models.
package final class ModuleRuntime: Sendable {
    package let module: String
    package let parts: ModuleParts
    package let log: any EventLog
    package let commands: CommandExecutor
    package let readModel: ReadModel
    let answers: Answers
    let scheduler: EventScheduler
    /// Forgets a person, for a reason; nil where there are no keys of personal data.
    let forget: Forgetting?
    private let sagas: [any SagaService]

    package typealias Forgetting = @Sendable (_ subject: String, _ reason: String?) async throws -> Void

    package init(
        module: String, parts: ModuleParts, log: any EventLog, views: any Database, commands: CommandExecutor,
        scheduler: EventScheduler? = nil, sagas wakeUps: SagaWakeUps = SagaWakeUps(),
        keepEndedSagas: Duration? = .seconds(30 * 86_400), forget: Forgetting? = nil
    ) {
        self.forget = forget
        self.module = module
        self.parts = parts
        self.log = log
        self.commands = commands
        readModel = ReadModel(parts.projections, from: log, in: views)
        answers = Answers(log: log)
        self.scheduler = scheduler ?? EventScheduler(log: log)
        sagas = parts.sagas.map {
            $0.runner(log: log, commands: commands, source: module, wakeUps: wakeUps, keepEnded: keepEndedSagas)
        }
    }

    /// Makes the tables. Has to be done before the module answers or its ``services`` run.
    package func prepare() async throws {
        try await answers.prepare()
        try await scheduler.prepare()
        if !parts.tables.isEmpty { try await log.migrate(Migrations(owner: module, steps: parts.tables)) }
        for inline in parts.inlineProjections {
            try await commands.project(inline.projection, of: inline.category, as: module)
        }
        try await readModel.prepare()
        for saga in sagas { try await saga.prepare() }
    }

    /// The builds of its read models, also of those that change with events.
    package func builds() async throws -> [ProjectionBuild] {
        try await commands.inlineBuilds(of: module) + readModel.builds()
    }

    /// What the module's readers have not done with, by where they are: what is written of them lags behind that.
    package var holds: [RetentionHold] {
        readModel.status.map {
            RetentionHold(name: "the read model '\($0.name)' of \(module)", done: $0.status.scanned)
        } + sagas.compactMap(\.hold)
    }

    /// Its subscriptions, for the node's bus.
    package var subscriptions: [Subscription] { parts.subscriptions.map { $0.subscription(in: self) } }

    /// What runs as long as the node does, besides the bus: projections and sagas.
    package var services: [any Service] {
        (parts.projections.isEmpty ? [] : [readModel]) + sagas.map { $0 as any Service }
    }
}
