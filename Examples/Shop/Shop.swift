import Dovetail

/// The platform: `shop run`, `shop check`, `shop routes`, `shop events tail`, `shop sagas list`; deployed as `platform.yaml` says.
@main
struct Shop: Platform {
    static let modules = [users, products, orders, inventory, payments, returns]
}
