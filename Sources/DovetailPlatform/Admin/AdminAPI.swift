import DovetailContracts
import DovetailCore
import DovetailObservability
import DovetailSagas
import Foundation

/// What an operator may ask a running node: a contract like any other, served on the node's admin door.
public struct AdminAPI: Contract {
    public let name = "admin", version = 1
    /// What the node is and how it does.
    public let status = Endpoint.get("/status", Nothing.self, returns: Status.self)
    /// Events of the node's log, in order; with `follow`, also those to come.
    public let events = Endpoint.get("/events", EventQuery.self, streams: EventLine.self)
    /// Dead letters of a subscription, in order.
    public let deadLetters = Endpoint.get(
        "/subscriptions/{subscription}/dead-letters", DeadLetterQuery.self, returns: DeadLetterPage.self)
    /// Has a dead letter tried again, and in order what waits behind it.
    public let redrive = Endpoint.post("/subscriptions/{subscription}/dead-letters/{position}/redrive", ByPosition.self)
        .fails(refused)
    /// Drops a dead letter for good; what waits behind it goes on without it.
    public let discard = Endpoint.delete("/subscriptions/{subscription}/dead-letters/{position}", ByPosition.self)
        .fails(refused)
    /// Sets a subscription to another place.
    public let seek = Endpoint.put("/subscriptions/{subscription}/position", Seek.self, returns: Number.self)
        .fails(refused)
    /// Publishes an event.
    public let publish = Endpoint.post("/events", Publish.self, returns: Published.self).fails(refused)
    /// Dead letters of a subscription by what they died of.
    public let deadLetterGroups = Endpoint.get(
        "/subscriptions/{subscription}/dead-letter-groups", BySubscription.self, returns: DeadLetterGroups.self)
    /// Gives a dead letter another payload.
    public let editDeadLetter = Endpoint.put(
        "/subscriptions/{subscription}/dead-letters/{position}/data", Edit.self
    ).fails(refused)
    /// Has the chosen dead letters tried again; tells how far it is.
    public let redriveMany = Endpoint.post(
        "/subscriptions/{subscription}/dead-letters/redrive", Redrive.self, streams: RedriveProgress.self)
    /// Takes events of a range to a subscription's handler once more; tells how far it is.
    public let replay = Endpoint.post(
        "/subscriptions/{subscription}/replay", Replay.self, streams: ReplayProgress.self)
    /// Forgets a subscription that is no more part of the program.
    public let forget = Endpoint.delete("/subscriptions/{subscription}", BySubscription.self).fails(refused)
    /// Events that wait for their time, the next first.
    public let scheduled = Endpoint.get("/schedule", Limit.self, returns: Schedule.self)
    /// Takes back an event that waits for its time.
    public let cancelScheduled = Endpoint.delete("/schedule/{id}", ByID.self).fails(unknown)
    /// Looks through the whole log; tells how far it is, and last what it found.
    public let verify = Endpoint.post("/log/verify", Nothing.self, streams: VerifyProgress.self)
    /// Looks whether today's program can read all that is stored; tells how far it is, and last what it found.
    public let checkStored = Endpoint.post("/log/check-stored", Nothing.self, streams: StoredCheckProgress.self)
    /// Where a stream stands.
    public let stream = Endpoint.get("/streams/{stream}", ByStream.self, returns: StreamLine.self).fails(unknown)
    /// Its events, the newest first.
    public let streamEvents = Endpoint.get(
        "/streams/{stream}/events", StreamEvents.self, returns: StreamPage.self
    ).fails(unknown)
    /// Has a stream take no more events.
    public let deleteStream = Endpoint.delete("/streams/{stream}", ByStream.self).fails(unknown, refused)
    /// Deletes a stream for good, and lets go of its events as far as nobody needs them.
    public let tombstoneStream = Endpoint.post(
        "/streams/{stream}/tombstone", ByStream.self, returns: StreamLine.self
    ).fails(unknown, refused)
    /// Has a deleted stream take events again.
    public let restoreStream = Endpoint.post("/streams/{stream}/restore", ByStream.self).fails(unknown, refused)
    /// Removes a stream's first events for good.
    public let truncateStream = Endpoint.post(
        "/streams/{stream}/truncate", TruncateStream.self, returns: StreamLine.self
    ).fails(unknown, refused)
    /// What is said of a stream.
    public let streamMetadata = Endpoint.get(
        "/streams/{stream}/metadata", ByStream.self, returns: StreamMetadataLine.self)
    /// Says something of a stream.
    public let setStreamMetadata = Endpoint.post(
        "/streams/{stream}/metadata", SetStreamMetadata.self, returns: StreamMetadataLine.self
    ).fails(refused)
    /// The builds of the read models.
    public let projections = Endpoint.get("/projections", Nothing.self, returns: ProjectionList.self)
    /// Begins to build a read model again, beside the one that answers.
    public let rebuildProjection = Endpoint.post(
        "/projections/{module}/{projection}/rebuild", RebuildProjection.self, returns: ProjectionList.Build.self
    ).fails(refused)
    /// Has queries answered from the build that was under way.
    public let switchProjection = Endpoint.post(
        "/projections/{module}/{projection}/switch", ByProjection.self, returns: ProjectionList.Build.self
    ).fails(refused)
    /// Has queries answered from the build that was active before.
    public let rollBackProjection = Endpoint.post(
        "/projections/{module}/{projection}/rollback", ByProjection.self, returns: ProjectionList.Build.self
    ).fails(refused)
    /// Drops a build that is not the active one.
    public let dropProjection = Endpoint.delete(
        "/projections/{module}/{projection}/builds/{build}", DropProjection.self
    ).fails(refused)
    /// Copies the store into a folder of the node's machine; tells how far it is.
    public let backup = Endpoint.post("/store/backup", Backup.self, streams: BackupProgress.self)
    /// Instances of sagas, the youngest first.
    public let sagas = Endpoint.get("/sagas", SagaQuery.self, returns: SagaPage.self)
    /// One instance and its journal.
    public let saga = Endpoint.get("/sagas/{id}", ByID.self, returns: SagaDetail.self).fails(unknown)
    /// Has an operator's intervention done to an instance; the instance's journal says what came of it.
    public let interveneInSaga = Endpoint.post("/sagas/{id}/interventions", SagaRequest.self).fails(unknown, refused)
    /// Gives an instance the signal that it waits for.
    public let signalSaga = Endpoint.post("/sagas/{id}/signals/{name}", SagaSignal.self).fails(unknown, refused)
    /// Subjects that the node has keys of, or has forgotten, in the order of their ids.
    public let subjects = Endpoint.get("/privacy/subjects", SubjectQuery.self, returns: SubjectPage.self)
    /// What the node knows of a subject.
    public let subject = Endpoint.get("/privacy/subjects/{subject}", BySubject.self, returns: SubjectLine.self)
        .fails(unknown)
    /// Makes a subject's personal data unreadable for good.
    public let forgetSubject = Endpoint.put(
        "/privacy/subjects/{subject}/forgotten", ForgetSubject.self, returns: SubjectLine.self
    ).fails(unknown, refused)
    /// Copies the keys into a file of the node's machine.
    public let backUpKeys = Endpoint.post("/privacy/keys/backup", KeyBackup.self).fails(refused)
    /// The spans of a trace that this node has kept.
    public let trace = Endpoint.get("/traces/{id}", ByID.self, returns: Trace.self)

    /// There is nothing of this id.
    public static let unknown = Problem("unknown-id", status: 404)

    /// It cannot be done now, or not to this.
    public static let refused = Problem("refused", status: 409)

    /// The contract.
    public init() {}

    /// No input.
    public struct Nothing: Wire {
        /// Nothing.
        public init() {}
    }

    /// What is asked for by its id.
    public struct ByID: Wire {
        /// The id.
        public var id: String

        /// The thing of this id.
        public init(id: String) { self.id = id }
    }

    /// How a node does.
    public struct Status: Wire {
        /// A read model.
        public struct View: Wire {
            /// The module it belongs to.
            public var module: String
            /// The projection.
            public var projection: String
            /// Every event up to this number has had its effect.
            public var scanned: Int64
            /// How many events were put aside because they cannot be decoded; nil while that cannot be read.
            public var parked: Int?
            /// Why it does not get further, where it does not.
            public var blocked: String?
        }

        /// A subscription.
        public struct Subscription: Wire {
            /// The durable name.
            public var name: String
            /// The topics it wants.
            public var topics: [String]
            /// Every event up to this number has been looked at.
            public var scanned: Int64
            /// Events that it has not settled.
            public var lag: Int64
            /// The age of the oldest of them, in seconds.
            public var age: Double?
            /// Keys whose events wait because one of them failed.
            public var blockedKeys: Int
            /// Events in the dead letters.
            public var deadLetters: Int
            /// What holds it up.
            public var problem: String?
        }

        /// Events that come from another node's log.
        public struct Feed: Wire {
            /// The node, and the topics.
            public var name: String
            /// Every event of that log up to this number was looked at.
            public var scanned: Int64
            /// That log's last number, as it was last told.
            public var head: Int64
            /// Why it does not get further.
            public var problem: String?
        }

        /// What is removed from the log, by its rules.
        public struct Retention: Wire {
            /// How many events were removed since the node's start.
            public var reclaimed: Int
            /// Who holds back the most, and up to which number it has done.
            public var hold: String?
            /// Why the last round was broken off.
            public var problem: String?
            /// Subscriptions that no program has any more, which hold all that they have not seen.
            public var forgotten: [String]
        }

        /// The calls to a module, since the node's start.
        public struct Calls: Wire {
            /// The module called.
            public var callee: String
            /// How many calls were made, and how they ended.
            public var calls, succeeded, failed: Int
            /// Attempts and retries.
            public var attempts, retries, timedOut: Int
            /// Calls that were not sent, because the circuit was open.
            public var circuitOpen: Int
            /// How often the circuit breaker opened.
            public var circuitOpenings: Int
        }

        /// The platform's name.
        public var platform: String
        /// The node's name.
        public var node: String
        /// The modules that run on it.
        public var modules: [String]
        /// The log's head, as a position.
        public var position: String
        /// The head's number.
        public var head: Int64
        /// What the log promises.
        public var durability: String
        /// Why the log takes nothing in, when it does not.
        public var trouble: String?
        /// The read models.
        public var views: [View]
        /// The subscriptions.
        public var subscriptions: [Subscription]
        /// What comes from other nodes' logs.
        public var feeds: [Feed]
        /// What is removed from the log.
        public var retention: Retention
        /// Events that wait for their time.
        public var scheduled: Int
        /// How many sagas stand in each status.
        public var sagas: [String: Int]
        /// The calls to each module.
        public var calls: [Calls]
    }

    /// Which events.
    public struct EventQuery: Wire {
        /// Those with numbers above this one; from the beginning unless given.
        public var after: Int64?
        /// Only those of these topics.
        public var types: [String]?
        /// At most so many; no bound unless given.
        public var limit: Int?
        /// Also those to come.
        public var follow: Bool?

        /// Events after a number.
        public init(after: Int64? = nil, types: [String]? = nil, limit: Int? = nil, follow: Bool? = nil) {
            self.after = after
            self.types = types
            self.limit = limit
            self.follow = follow
        }
    }

    /// An event of the log.
    public struct EventLine: Wire {
        /// Its number in the log.
        public var number: Int64
        /// Its id.
        public var id: String
        /// The topic.
        public var type: String
        /// The payload's version.
        public var version: Int
        /// Who published it.
        public var source: String
        /// The value that orders it.
        public var key: String
        /// The stream it belongs to.
        public var stream: String?
        /// Its number in the stream.
        public var streamVersion: Int64?
        /// When the log committed it.
        public var time: Date
        /// The flow it belongs to.
        public var correlationID: String?
        /// What caused it.
        public var causationID: String?
        /// The trace it belongs to.
        public var traceparent: String?
        /// The payload.
        public var data: JSONValue
    }

    /// Which dead letters.
    public struct DeadLetterQuery: Wire {
        /// The subscription.
        public var subscription: String
        /// Those after this number of the log.
        public var after: Int64?
        /// At most so many; 100 unless given.
        public var limit: Int?
    }

    /// An event that a subscription gave up on.
    public struct DeadLetterLine: Wire {
        /// The event's number in the log.
        public var position: Int64
        /// The event's id.
        public var id: String
        /// The topic.
        public var type: String
        /// The payload's version.
        public var version: Int
        /// Who published it.
        public var source: String
        /// The value that orders it.
        public var key: String
        /// Why it was given up on: `failed`, `undecodable`, `timedOut` or `crashed`.
        public var reason: String
        /// The last error.
        public var error: String
        /// How often it was tried.
        public var attempts: Int
        /// When it failed first, and when it was given up on.
        public var firstFailedAt, diedAt: Date
        /// The flow it belongs to.
        public var correlationID: String?
        /// The trace it belongs to.
        public var traceparent: String?
        /// The payload.
        public var data: JSONValue
    }

    /// Dead letters.
    public struct DeadLetterPage: Wire {
        /// The letters.
        public var letters: [DeadLetterLine]
    }

    /// A dead letter.
    public struct ByPosition: Wire {
        /// The subscription.
        public var subscription: String
        /// The event's number in the log.
        public var position: Int64
    }

    /// Spans.
    public struct Trace: Wire {
        /// The spans, in no order.
        public var spans: [FinishedSpan]
    }
}
