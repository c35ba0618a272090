import Dovetail
import DovetailTesting

/// Patients, whose names and findings are theirs.
struct PatientsAPI: Contract {
    let name = "patients", version = 1
    let admit = Endpoint.post("/patients", Admit.self, returns: Admitted.self).idempotent()
    let get = Endpoint.get("/patients/{id}", ByID.self, returns: Patient.self)
    let admitted = Event("patient.admitted", PatientAdmittedV1.self, key: \.id)
        .upcast(to: PatientAdmitted.self, key: \.id) {
            PatientAdmitted(id: $0.id, name: Personal($0.name, of: $0.id), ward: $0.ward)
        }

    struct Admit: Wire { var name: String, ward: String }
    struct Admitted: Wire { var id: String }
    struct ByID: Wire { var id: String }
    /// Over HTTP the name is text, or null.
    struct Patient: Wire { var id: String, name: Personal<String>, ward: String }
}

/// As it was published before names were personal.
struct PatientAdmittedV1: Wire { var id: String, name: String, ward: String }

/// What is kept of a patient who comes.
struct PatientAdmitted: Wire {
    var id: String
    var name: Personal<String>
    var ward: String
}

/// A patient's state, with snapshots that are sealed where it is.
struct PatientState: Wire {
    var name: Personal<String>?
    var ward: String?

    static let events = PatientsAPI()
    static let aggregate = Aggregate("patient", PatientState())
        .apply(events.admitted) { patient, admitted in
            patient.name = admitted.name
            patient.ward = admitted.ward
        }
        .snapshots(.every(50))

    func admit(_ id: String, _ name: Personal<String>, to ward: String) throws -> [NewEvent] {
        [Self.events.admitted(.init(id: id, name: name, ward: ward))]
    }
}

/// The read model: a column of text, sealed.
let wards = Projection(
    "wards", version: 1, tables: "CREATE TABLE wards (id TEXT PRIMARY KEY, name TEXT, ward TEXT NOT NULL)"
)
.on(PatientState.events.admitted) { admitted, tables in
    try tables.execute("INSERT INTO wards VALUES (\(admitted.id), \(admitted.name), \(admitted.ward))")
}

/// The module.
let patients = Module("patients", provides: PatientsAPI()) { patients in
    patients.decides(on: PatientState.aggregate)
    patients.project(wards)

    patients.handle(\.admit) { input, context in
        let id = context.newID
        try await context.execute(PatientState.aggregate, id) {
            try $0.admit(id, Personal(input.name, of: id), to: input.ward)
        }
        return .init(id: id)
    }
    patients.handle(\.get) { query, context in
        try await context.one(
            PatientsAPI.Patient.self, "SELECT * FROM wards WHERE id = \(query.id)",
            or: Problem("no-such-patient", status: 404))
    }
}

/// A module that keeps something outside, and has it forgotten there as well.
let newsletter = Module("newsletter", provides: NewsletterAPI()) { newsletter in
    newsletter.subscribe("strike off", to: PrivacyEvents().subjectForgotten) { forgotten, context in
        try await mailingList.remove(forgotten.subject)
    }
}

/// Nothing that others call.
struct NewsletterAPI: Contract {
    let name = "newsletter", version = 1
}

/// A list that somebody else keeps.
struct MailingList: Sendable {
    func remove(_ subject: String) async throws {}
}

let mailingList = MailingList()

/// What a label says, also of who is forgotten.
func label(_ patient: PatientState) -> String {
    "\(patient.name?.value ?? "(name no longer kept)"), ward \(patient.ward ?? "–")"
}

/// A test of the absence.
func patientScenarios() throws {
    try Scenario(PatientState.aggregate)
        .given(PatientState.events.admitted(.init(id: "p", name: .forgotten("p"), ward: "3")))
        .when { _ in [] }
        .thenState { label($0) == "(name no longer kept), ward 3" }
}
