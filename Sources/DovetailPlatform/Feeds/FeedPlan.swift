import DovetailContracts
import DovetailEvents
import DovetailModules
import DovetailPrivacy

/// Which events of which other nodes a node needs: what its modules listen to, and modules elsewhere publish.
struct FeedPlan {
    /// Who listens to what.
    struct Listener {
        /// The module.
        var module: String
        /// What of it listens, in words.
        var part: String
        var topic: TopicPattern
    }

    let configuration: PlatformConfiguration
    let catalog: ModuleCatalog

    /// Everybody who listens to events.
    var listeners: [Listener] {
        catalog.looked.flatMap { module, parts in
            parts.projections.flatMap { projection in
                projection.allTypes.sorted().map {
                    Listener(module: module, part: "the read model '\(projection.name)'", topic: TopicPattern($0))
                }
            }
                + parts.sagas.map(\.description).flatMap { saga in
                    saga.topics.map {
                        Listener(module: module, part: "the saga '\(saga.name)'", topic: TopicPattern($0))
                    }
                }
                + parts.subscriptions.flatMap { subscription in
                    subscription.topics.map {
                        Listener(module: module, part: "the subscription '\(subscription.name)'", topic: $0)
                    }
                }
        }
    }

    /// The topic of subjects that are forgotten, on whichever node, if this one may keep personal data: its contracts hold some, or those that its gateway keeps answers of, it listens to
    /// events that do, or a module of it listens to the topic.
    private func forgetting(_ node: PlatformConfiguration.Node, _ wanted: [TopicPattern]) -> [TopicPattern] {
        let topic = PrivacyEvents().subjectForgotten.name
        let holds =
            !catalog.personalContracts(of: node.modules).isEmpty
            || catalog.personalContracts(of: catalog.modules.map(\.name)).contains { routed(by: node).contains($0) }
            || catalog.personalEvents.contains { name in wanted.contains { $0.matches(name) } }
            || wanted.contains { $0.matches(topic) }
        return holds ? [TopicPattern(topic)] : []
    }

    /// The contracts that a node's gateway routes to, by identity.
    private func routed(by node: PlatformConfiguration.Node) -> Set<String> {
        guard let gateway = configuration.gateway, gateway.node == node.name else { return [] }
        return Set(
            gateway.routes.compactMap { route in
                if case .contract(let reference) = route.target { reference.description } else { nil }
            })
    }

    /// The modules whose contracts publish events of a topic.
    func publishers(of topic: TopicPattern) -> [String] {
        catalog.looked.filter { $0.parts.contracts.flatMap(\.events).contains { topic.matches($0.name) } }.map(\.name)
    }

    /// The topics that a node has to get from each other node, by the nodes' names.
    func topics(for node: PlatformConfiguration.Node) -> [(node: PlatformConfiguration.Node, topics: [TopicPattern])] {
        var wanted = listeners.filter { node.modules.contains($0.module) }.map(\.topic)
        if configuration.gateway?.node == node.name {
            wanted += CacheInvalidation.topics(configuration, catalog).map { TopicPattern($0) }
        }
        let forgetting = forgetting(node, wanted)
        return configuration.nodes.filter { $0.name != node.name }.compactMap { other in
            let there = Set(wanted).filter { topic in publishers(of: topic).contains { other.modules.contains($0) } }
                .union(forgetting)
            return there.isEmpty ? nil : (other, there.sorted { $0.description < $1.description })
        }
    }
}
