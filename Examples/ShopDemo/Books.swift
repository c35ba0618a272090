import Dovetail
import Foundation

/// What the logs of all nodes say, and whether it fits together and with what the gateway shows.
struct Books: Sendable {
    /// An order, as its events tell it.
    struct Order: Sendable {
        var id: String, user: String, cents: Int, items: Int
        var status = "pending"
        var reason: String?
        var correlationID: String?, traceID: String?
        var placedAt: Date, closedAt: Date?
    }

    private(set) var orders: [String: Order] = [:]
    private var charged: [String: Int] = [:]
    private var findingsWhileReading: [String] = []
    private var shown: [String: View] = [:]
    private var mails: [String: Int] = [:]

    private struct View: Decodable, Sendable {
        var id: String, userID: String, status: String, cents: Int, itemCount: Int, reason: String?
    }

    private struct Page: Decodable { var orders: [View] }
    private struct Mail: Decodable { var id: String, subject: String }
    private struct Mails: Decodable { var mails: [Mail] }

    init(cluster: Cluster, gateway: Gate, tokens: [String: String]) async throws {
        for event in try await cluster.events(of: "orders") { readOrder(event) }
        for event in try await cluster.events(of: "payments") { readPayment(event) }
        readStock(try await cluster.events(of: "inventory"))
        let position = try await cluster.admin(try cluster.home(of: "orders")) { try await $0.status(.init()).position }
        for (user, token) in tokens {
            var skip = 0
            while true {
                let page = try await gateway.get(
                    Page.self, "/api/users/\(user)/orders", query: "limit=1000&skip=\(skip)", token: token,
                    after: position)
                for view in page.orders { shown[view.id] = view }
                skip += page.orders.count
                if page.orders.count < 1000 { break }
            }
            var last = ""
            while true {
                let page = try await gateway.get(
                    Mails.self, "/api/users/\(user)/mails", query: "limit=1000&after=\(last)", token: token)
                for mail in page.mails { mails[mail.subject, default: 0] += 1 }
                last = page.mails.last?.id ?? last
                if page.mails.count < 1000 { break }
            }
        }
    }

    /// What is wrong; nothing, if all is well.
    func findings(accepted: [String]) -> [String] {
        var findings = findingsWhileReading
        for id in accepted where orders[id] == nil { findings.append("order \(id) was accepted and is not in the log") }
        if Set(accepted).count != accepted.count { findings.append("two accepted orders have the same id") }
        for order in orders.values.sorted(by: { $0.id < $1.id }) {
            let money = charged[order.id] ?? 0
            switch order.status {
            case "confirmed" where money != order.cents:
                findings.append("order \(order.id) is confirmed at \(order.cents) cents, and \(money) were charged")
            case "cancelled" where money != 0:
                findings.append("order \(order.id) is cancelled, and \(money) cents were not given back")
            case "pending":
                findings.append("order \(order.id) is neither confirmed nor cancelled")
            default: break
            }
            let acknowledged = mails["We have your order \(order.id)"] ?? 0
            if acknowledged != 1 { findings.append("order \(order.id) was acknowledged \(acknowledged) times") }
            guard let view = shown[order.id] else {
                findings.append("order \(order.id) is in the log and not in the read model")
                continue
            }
            let same =
                view.userID == order.user && view.status == order.status && view.cents == order.cents
                && view.itemCount == order.items && view.reason == order.reason
            if !same {
                findings.append("order \(order.id) is \(order.status) by the log, \(view.status) in the read model")
            }
        }
        for id in shown.keys where orders[id] == nil {
            findings.append("order \(id) is in the read model and not in the log")
        }
        for id in charged.keys where orders[id] == nil { findings.append("order \(id) was charged and never placed") }
        return findings
    }

    private mutating func readOrder(_ event: AdminAPI.EventLine) {
        struct Line: Decodable { var quantity: Int }
        struct Created: Decodable { var orderID: String, userID: String, lines: [Line], cents: Int }
        struct Closed: Decodable { var orderID: String, reason: String? }
        switch event.type {
        case "order.created":
            guard let created = read(Created.self, event) else { return }
            if orders[created.orderID] != nil {
                findingsWhileReading.append("order \(created.orderID) was created twice")
            }
            orders[created.orderID] = Order(
                id: created.orderID, user: created.userID, cents: created.cents,
                items: created.lines.reduce(0) { $0 + $1.quantity }, correlationID: event.correlationID,
                traceID: event.traceparent?.split(separator: "-").dropFirst().first.map(String.init),
                placedAt: event.time, closedAt: nil)
        case "order.confirmed", "order.cancelled":
            guard let closed = read(Closed.self, event) else { return }
            if orders[closed.orderID]?.status != "pending" {
                findingsWhileReading.append("order \(closed.orderID) was closed and was not open")
            }
            orders[closed.orderID]?.status = String(event.type.dropFirst("order.".count))
            orders[closed.orderID]?.reason = closed.reason
            orders[closed.orderID]?.closedAt = event.time
        default: break
        }
    }

    private mutating func readPayment(_ event: AdminAPI.EventLine) {
        struct Moved: Decodable { var orderID: String, cents: Int }
        switch event.type {
        case "payment.charged":
            guard let moved = read(Moved.self, event) else { return }
            charged[moved.orderID, default: 0] += moved.cents
        case "payment.refunded":
            guard let moved = read(Moved.self, event) else { return }
            charged[moved.orderID, default: 0] -= moved.cents
        default: break
        }
    }

    /// Follows each product's level from event to event, and each order's hold on the stock.
    private mutating func readStock(_ events: [AdminAPI.EventLine]) {
        struct Line: Decodable { var productID: String, quantity: Int }
        struct Level: Decodable { var productID: String, available: Int }
        struct Moved: Decodable { var orderID: String, lines: [Line], left: [Level] }
        var levels: [String: Int] = [:]
        var held: [String: Int] = [:]
        for event in events where event.type == "stock.reserved" || event.type == "stock.returned" {
            guard let moved = read(Moved.self, event) else { continue }
            let sign = event.type == "stock.reserved" ? -1 : 1
            for line in moved.lines { held[moved.orderID, default: 0] -= sign * line.quantity }
            for level in moved.left {
                let change = moved.lines.filter { $0.productID == level.productID }.reduce(0) { $0 + $1.quantity }
                if let before = levels[level.productID], before + sign * change != level.available {
                    findingsWhileReading.append(
                        "the stock of \(level.productID) went from \(before) to \(level.available) by \(change)")
                }
                if level.available < 0 {
                    findingsWhileReading.append("the stock of \(level.productID) fell below zero")
                }
                levels[level.productID] = level.available
            }
        }
        for order in orders.values {
            let expected = order.status == "confirmed" ? order.items : 0
            if order.status != "pending", held[order.id, default: 0] != expected {
                findingsWhileReading.append(
                    "order \(order.id) is \(order.status), and \(held[order.id, default: 0]) items are held for it")
            }
        }
    }

    private mutating func read<Payload: Decodable>(_ type: Payload.Type, _ event: AdminAPI.EventLine) -> Payload? {
        do {
            return try JSON.decode(Payload.self, from: try JSON.encode(event.data))
        } catch {
            findingsWhileReading.append("the event \(event.type) at \(event.number) cannot be read: \(error)")
            return nil
        }
    }
}
