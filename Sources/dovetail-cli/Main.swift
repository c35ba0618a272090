import Dovetail

/// The command line without modules of its own: gateway, log and bus for modules in other languages.
@main
struct Main: Platform {
    static let modules: [Module] = []
}
