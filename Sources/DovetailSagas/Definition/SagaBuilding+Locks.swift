import DovetailCore

extension SagaBuilding {
    /// The same, which takes a lock on a business resource here, as a seat or an account, and goes on when it has it.
    ///
    /// The lock is held until the saga has ended, or releases it (``release(_:)``); when the saga turns back, until all that was done under it is undone. Other instances that ask
    /// for the same `resource` and key, of whatever saga on this node, wait in the order in which they asked; `within` says how long, and `otherwise` what follows then: a time of zero
    /// fails at once when the resource is not free. Who would wait for one that waits for it is refused at once. Between it and the pivot there is a way back, so a lock is taken before the pivot.
    ///
    /// It keeps sagas apart, not others: what a step calls goes by ``SagaContext/fence(of:)`` where an owner that was replaced must not write late.
    public func lock(
        _ name: String, resource: String, key: @escaping @Sendable (State) -> String, within time: Duration? = nil,
        otherwise: SagaTimeout = .turnBack
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .lock(.init(resource: resource, key: key, within: time, otherwise: otherwise)), undo: nil,
                policy: nil))
    }

    /// The same, which lets go here of the lock that the step `lock` has taken.
    ///
    /// What was done under it is not protected any more when the saga turns back behind this step.
    public func release(_ lock: String) -> Self {
        adding(SagaStep(name: "release \(lock)", work: .release(lock), undo: nil, policy: nil))
    }
}
