import Dovetail

/// What the saga remembers between its steps.
struct HandlingReturn: Wire {
    var request: ReturnsAPI.Requested
    var parcel: ReturnsAPI.Arrived?
    var inspection: Inspection?

    /// What a person has found, told by `shop sagas signal ID inspect '{"isFine": true}'`.
    struct Inspection: Wire { var isFine: Bool }
}

/// A return waits for a parcel and for a person, for days if need be, and through every restart; then stock and credit are seen to at once.
func handleReturn(_ inventory: Client<InventoryAPI>) -> Saga<HandlingReturn> {
    let events = Return.events
    let patient = SagaPolicy(attempts: 20, backoff: .seconds(1), maximumBackoff: .seconds(60))
    return Saga("handle-return", startedBy: events.requested) { HandlingReturn(request: $0) }
        .lock("the order", resource: "order", key: \.request.orderID)  // nothing else happens to it meanwhile
        .wait(
            "the parcel", for: events.arrived, key: \.request.returnID, into: \.parcel, within: .seconds(14 * 86_400)
        )
        // The customer is not to wait longer than this.
        .decision("inspect", into: \.inspection, within: .seconds(3 * 86_400), otherwise: .goOn)
        .step("heed the inspection") { saga, _ in
            guard saga.inspection?.isFine != false else {
                throw Problem("return-damaged", status: 409)("the goods have come back damaged")
            }
        }
        .pivot()
        .parallel(
            {
                $0.step("take into stock", policy: patient) { saga, _ in
                    _ = try await inventory.release(.init(orderID: saga.request.orderID))
                }
            },
            {
                $0.step("grant credit", policy: patient) { saga, context in
                    let request = saga.request
                    try await context.execute(Credit.aggregate, request.userID) {
                        $0.grant(request.cents, to: request.userID, for: request.returnID)
                    }
                }
            }
        )
        .step("accept") { saga, context in
            let accepted = events.accepted(.init(returnID: saga.request.returnID))
            try await context.execute(Return.aggregate, saga.request.returnID) { $0.close(accepted) }
        }
        .compensated { saga, problem, context in
            let refused = events.refused(.init(returnID: saga.request.returnID, refusal: problem.type))
            try await context.execute(Return.aggregate, saga.request.returnID) { $0.close(refused) }
        }
}
