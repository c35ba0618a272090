import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailPrivacy
import Testing

@testable import DovetailPlatform

/// What a platform makes of personal data: who tells whom, and what is found wrong.
@Suite struct PrivacyTests {
    private struct PeopleAPI: Contract {
        let name = "people", version = 1
        let moved = Event("person.moved", Moved.self, key: \.id)
        struct Moved: Wire { var id: String, address: Personal<String> }
    }

    private struct ThingsAPI: Contract {
        let name = "things", version = 1
        let made = Event("thing.made", Made.self, key: \.id)
        struct Made: Wire { var id: String }
    }

    private let catalog = ModuleCatalog([
        Module("people", provides: PeopleAPI()) { _ in }, Module("things", provides: ThingsAPI()) { _ in },
        Module("mail", provides: ThingsAPI()) { mail in
            mail.subscribe("letters", to: PeopleAPI().moved) { _, _ in }
        },
        Module("lists", provides: ThingsAPI()) { lists in
            lists.subscribe("strike", to: PrivacyEvents().subjectForgotten) { _, _ in }
        },
    ])

    private func configuration(_ rest: String = "") throws -> PlatformConfiguration {
        try parse(
            """
            version: 1
            platform: test
            nodes:
              a: { modules: [people], listen: 127.0.0.1:1 }
              b: { modules: [things], listen: 127.0.0.1:2 }
              c: { modules: [mail], listen: 127.0.0.1:3 }
              d: { modules: [lists], listen: 127.0.0.1:4 }
            \(rest)
            """)
    }

    @Test(
        "A node that may keep personal data, or asks for it, is told by all others who is forgotten; one that does not is left alone"
    )
    func plansFeeds() throws {
        let configuration = try configuration()
        let plan = FeedPlan(configuration: configuration, catalog: catalog)
        func told(_ name: String) throws -> [String] {
            let node = try #require(configuration.node(named: name))
            return plan.topics(for: node).map {
                "\($0.node.name): \($0.topics.map(\.description).joined(separator: ", "))"
            }
        }
        let topic = "dovetail.privacy.subject-forgotten"
        #expect(try told("a") == ["b", "c", "d"].map { "\($0): \(topic)" })
        #expect(try told("b") == [])
        #expect(try told("c") == ["a: \(topic), person.moved", "b: \(topic)", "d: \(topic)"])
        #expect(try told("d") == ["a", "b", "c"].map { "\($0): \(topic)" })
    }

    @Test("The node of a gateway that keeps answers with personal data is told, and not that of one that has none")
    func tellsGateways() throws {
        func told(_ contract: String) throws -> [String] {
            let configuration = try configuration(
                """
                  front: { modules: [] }
                gateway:
                  node: front
                  listen: 127.0.0.1:5
                  routes: [{ contract: \(contract), path: /api, authentication: none }]
                """)
            let node = try #require(configuration.node(named: "front"))
            return FeedPlan(configuration: configuration, catalog: catalog).topics(for: node).map {
                "\($0.node.name): \($0.topics.map(\.description).joined(separator: ", "))"
            }
        }
        #expect(
            try told("people@1") == ["a", "b", "c", "d"].map { "\($0): dovetail.privacy.subject-forgotten" })
        #expect(try told("things@1") == [])
    }

    @Test(
        "check says that keys are not locked where they are kept; with a key it does not, nor where nothing personal is"
    )
    func findsUnlockedKeys() throws {
        func findings(_ rest: String, _ catalog: ModuleCatalog) throws -> [CheckReport.Finding] {
            Findings(configuration: try configuration(rest), catalog: catalog, folder: "/").all.filter {
                $0.place == "privacy"
            }
        }
        let found = try findings("", catalog)
        #expect(found.count == 1 && found[0].message.contains("people@1 holds personal data"))
        #expect(found.first?.severity == .warning)
        #expect(try findings("privacy: { key: a-master-key-of-thirty-two-characters-or-more }", catalog).isEmpty)
        #expect(try findings("", ModuleCatalog([Module("things", provides: ThingsAPI()) { _ in }])).isEmpty)
        // Nobody listens in vain who listens to that.
        #expect(
            Findings(configuration: try configuration(), catalog: catalog, folder: "/").all.allSatisfy {
                !$0.message.contains("subject-forgotten")
            })
    }

    @Test("The section is read, and what is wrong with it is said; a secret is not")
    func readsTheSection() throws {
        #expect(try configuration().privacy.key == nil)
        let set = try configuration(
            "privacy: { key: a-master-key-of-thirty-two-characters-or-more, previousKey: the-one-before-of-thirty-two-characters }"
        )
        #expect(set.privacy.key?.revealed == "a-master-key-of-thirty-two-characters-or-more")
        #expect(set.privacy.previousKey != nil)
        #expect(!"\(set.privacy)".contains("master-key-of"))
        for (section, message) in [
            ("{ key: short }", "a secret of at least 32 visible ASCII characters"),
            ("{ previousKey: the-one-before-of-thirty-two-characters }", "has no effect without a 'key'"),
            ("{ kei: x }", "did you mean 'key'"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try configuration("privacy: \(section)") }
            #expect("\(String(describing: error))".contains(message), "\(String(describing: error))")
        }
        #expect(
            try configuration().sectionsThatTakeARestart(
                to: configuration("privacy: { key: a-master-key-of-thirty-two-characters-or-more }")) == ["privacy"])
        #expect(PlatformConfiguration.jsonSchema().contains("\"previousKey\""))
    }

    @Test(
        "From outside nobody publishes personal data, which would be kept as it is, nor says that somebody is forgotten"
    )
    func refusesFromOutside() throws {
        let declared = DeclaredEvents([PeopleAPI(), ThingsAPI()])
        func check(_ type: String, _ data: String) throws {
            let event = CloudEvent(id: "1", source: "/t", type: type, data: Array(data.utf8))
            try declared.check(event, event.draft, acceptsUndeclared: true, index: nil)
        }
        let personal = #expect(throws: Problem.self) { try check("person.moved", #"{"id":"p","address":"x"}"#) }
        #expect(personal?.type == "personal-data" && personal?.status == 422)
        let forgotten = #expect(throws: Problem.self) {
            try check("dovetail.privacy.subject-forgotten", #"{"subject":"p","at":"2026-01-01T00:00:00Z"}"#)
        }
        #expect(forgotten?.status == 403)
        try check("thing.made", #"{"id":"t"}"#)
    }
}
