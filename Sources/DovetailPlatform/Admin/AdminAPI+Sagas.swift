import DovetailContracts
import DovetailCore
import DovetailSagas
import Foundation

/// What an operator says, and is told, of sagas.
extension AdminAPI {
    /// Which instances of sagas.
    public struct SagaQuery: Wire {
        /// Of this saga only.
        public var saga: String?
        /// In this status only.
        public var status: SagaStatus?
        /// Only those with a smaller number.
        public var before: Int64?
        /// At most so many; 100 unless given.
        public var limit: Int?

        /// Instances of sagas.
        public init(saga: String? = nil, status: SagaStatus? = nil, before: Int64? = nil, limit: Int? = nil) {
            self.saga = saga
            self.status = status
            self.before = before
            self.limit = limit
        }
    }

    /// Instances of sagas.
    public struct SagaPage: Wire {
        /// The instances, the youngest first.
        public var sagas: [SagaRecord]
    }

    /// An instance of a saga.
    public struct SagaDetail: Wire {
        /// Where it stands.
        public var record: SagaRecord
        /// What has happened.
        public var journal: [SagaJournalEntry]
        /// The queues for the resources that it has locked or waits for.
        public var locks: [SagaLockLine]?
    }

    /// What is to be done to an instance.
    public struct SagaRequest: Wire {
        /// The instance.
        public var id: String
        /// What is done.
        public var action: SagaIntervention.Action
        /// Only to the task at this step.
        public var step: String?
        /// Why, in words.
        public var reason: String?

        /// An intervention on the instance of this id.
        public init(id: String, action: SagaIntervention.Action, step: String? = nil, reason: String? = nil) {
            self.id = id
            self.action = action
            self.step = step
            self.reason = reason
        }
    }

    /// A signal to an instance.
    public struct SagaSignal: Wire {
        /// The instance.
        public var id: String
        /// The step that waits for it.
        public var name: String
        /// What it says.
        public var value: JSONValue

        /// A signal to the instance of this id.
        public init(id: String, name: String, value: JSONValue) {
            self.id = id
            self.name = name
            self.value = value
        }
    }

    /// The definitions that instances of sagas have gone by.
    public struct SagaPlanList: Wire {
        /// The definitions, by saga, in order.
        public var plans: [SagaKeptPlan]
    }

    /// The reader of a saga's events: what starts its instances, and what they wait for.
    public struct SagaReader: Wire {
        /// The saga.
        public var saga: String
        /// Every event up to this number was taken in, or put aside.
        public var scanned: Int64
        /// Events that it has not looked at.
        public var lag: Int64
        /// How many events were put aside because they could not be read; nil while that cannot be looked up.
        public var parked: Int?
        /// The number of the event that it cannot get past.
        public var blockedAt: Int64?
        /// Which event that is, and why.
        public var blocked: String?
    }

    /// The readers of a node's sagas.
    public struct SagaReaderList: Wire {
        /// The readers.
        public var readers: [SagaReader]
        /// The first events that were put aside, in the order of the log.
        public var parked: [SagaParkedEvent]
    }

    /// An event that a saga's reader is to go past.
    public struct SagaPassing: Wire {
        /// The saga.
        public var saga: String
        /// The event's number in the log.
        public var position: Int64
        /// Why, in words.
        public var reason: String?

        /// The event of this number, for this saga.
        public init(saga: String, position: Int64, reason: String? = nil) {
            self.saga = saga
            self.position = position
            self.reason = reason
        }
    }
}
