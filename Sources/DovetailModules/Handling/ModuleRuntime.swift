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
    private let wakeUps: SagaWakeUps

    package init(
        module: String, parts: ModuleParts, log: any EventLog, views: any Database, commands: CommandExecutor,
        scheduler: EventScheduler? = nil, sagas: SagaWakeUps = SagaWakeUps()
    ) {
        self.module = module
        self.parts = parts
        self.log = log
        self.commands = commands
        readModel = ReadModel(parts.projections, from: log, in: views)
        answers = Answers(log: log)
        self.scheduler = scheduler ?? EventScheduler(log: log)
        wakeUps = sagas
    }

    /// Makes the tables. Has to be done before the module answers or its ``services`` run.
    package func prepare() async throws {
        try await answers.prepare()
        try await scheduler.prepare()
        if !parts.tables.isEmpty { try await log.migrate(Migrations(owner: module, steps: parts.tables)) }
        try await readModel.prepare()
    }

    /// Its subscriptions, for the node's bus.
    package var subscriptions: [Subscription] { parts.subscriptions.map { $0.subscription(in: self) } }

    /// What runs as long as the node does, besides the bus: projections and sagas.
    package var services: [any Service] {
        (parts.projections.isEmpty ? [] : [readModel])
            + parts.sagas.map { $0.runner(log: log, commands: commands, source: module, wakeUps: wakeUps) }
    }
}
