import ArgumentParser
import DovetailModules
import Foundation

/// A platform: its modules. The user's program is its command line.
///
///     @main
///     struct Shop: Platform {
///         static let modules = [users, products, orders]
///     }
///
/// `shop run` starts a node, `shop check` looks the platform over, `shop routes`, `shop events`, `shop sagas` ask a running node.
/// Where modules run is said in `platform.yaml`.
public protocol Platform: Sendable {
    /// The modules, in any order.
    static var modules: [Module] { get }
}

extension Platform {
    /// Runs the command line's command.
    public static func main() async {
        await PlatformCommand<Self>.main()
    }
}
