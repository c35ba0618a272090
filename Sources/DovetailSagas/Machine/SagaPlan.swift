/// What the rules need to know of a saga: its steps, their order, and where the point of no return is.
struct SagaPlan: Sendable {
    enum Kind: Sendable, Equatable {
        case action
        case timer
        case wait(SagaTimeout)
        case child(mayFail: Bool)
        case lock(SagaTimeout)
        case release(String)

        var isLock: Bool { if case .lock = self { true } else { false } }
    }

    struct Step: Sendable {
        let name: String
        let kind: Kind
        let canBeUndone: Bool
        let policy: SagaPolicy
    }

    /// A step's place.
    struct Place: Sendable, Equatable {
        let stage: Int, branch: Int, index: Int
    }

    let saga: String
    let steps: [Step]
    let stages: [[[Int]]]
    /// The first stage with which there is only forward.
    let pivot: Int?
    let concludes: Bool
    /// The saga's own policy, by which it concludes.
    let policy: SagaPolicy
    private let indices: [String: Int]
    private let places: [Place]

    init(
        saga: String = "", steps: [Step], stages: [[[Int]]], pivot: Int?, concludes: Bool,
        policy: SagaPolicy = SagaPolicy()
    ) {
        self.saga = saga
        self.steps = steps
        self.stages = stages
        self.pivot = pivot
        self.concludes = concludes
        self.policy = policy
        indices = Dictionary(steps.enumerated().map { ($1.name, $0) }) { first, _ in first }
        var places = [Place](repeating: Place(stage: 0, branch: 0, index: 0), count: steps.count)
        for (stage, branches) in stages.enumerated() {
            for (branch, members) in branches.enumerated() {
                for (index, step) in members.enumerated() where places.indices.contains(step) {
                    places[step] = Place(stage: stage, branch: branch, index: index)
                }
            }
        }
        self.places = places
    }

    /// The longest pause between attempts that any of its policies has.
    var longestPause: Duration { steps.map(\.policy.maximumBackoff).reduce(policy.maximumBackoff, max) }

    func index(of step: String) -> Int? { indices[step] }

    func place(of index: Int) -> Place { places[index] }

    func isAfterPivot(_ index: Int) -> Bool { pivot.map { places[index].stage >= $0 } ?? false }

    /// Whether there is something to undo of a step: its undo, or the lock that it has taken.
    func isUndone(_ index: Int) -> Bool {
        if case .lock = steps[index].kind { return true }
        return steps[index].canBeUndone
    }

    /// The steps with which a stage begins; nil if there is no such stage.
    func first(of stage: Int) -> [Int]? {
        stages.indices.contains(stage) ? stages[stage].compactMap(\.first) : nil
    }

    /// The step that follows in the same branch.
    func next(after index: Int) -> Int? {
        let place = places[index]
        let branch = stages[place.stage][place.branch]
        return branch.indices.contains(place.index + 1) ? branch[place.index + 1] : nil
    }

    /// What is wrong with the definition, in words: a mistake in the program.
    var mistakes: [String] {
        var found: [String] = []
        var names: Set<String> = []
        for (index, step) in steps.enumerated() {
            if step.name.isEmpty { found.append("the saga '\(saga)' has a step without a name") }
            if !names.insert(step.name).inserted {
                found.append("the saga '\(saga)' has two steps called '\(step.name)'")
            }
            if case .release(let lock) = step.kind,
                !steps.prefix(index).contains(where: { $0.name == lock && $0.kind.isLock })
            {
                found.append("the saga '\(saga)' releases '\(lock)', and no step before takes a lock under that name")
            }
            guard isAfterPivot(index) else { continue }
            let place = "the saga '\(saga)': '\(step.name)' comes after the pivot,"
            if step.canBeUndone {
                found.append(
                    "\(place) where nothing is undone any more; leave its undo out, or put it before the pivot")
            }
            if step.kind.isLock {
                found.append("\(place) where nothing may be refused; take the lock before the pivot")
            }
            if step.kind == .wait(.turnBack) {
                found.append("\(place) where there is no turning back; let it go on at its time-out (otherwise: .goOn)")
            }
            if step.kind == .child(mayFail: true) {
                found.append("\(place) where nothing may be refused; let the child saga begin with its pivot")
            }
        }
        return found
    }
}
