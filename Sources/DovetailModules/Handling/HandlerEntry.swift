import DovetailContracts
import DovetailCore
import HTTPTypes

/// An endpoint with what answers it: once for bytes, once for values of the same process.
package struct HandlerEntry: Sendable {
    package let endpoint: EndpointDescription
    /// Decodes, answers, encodes.
    let bytes: @Sendable ([UInt8], [JSON.Field], HandlerContext) async throws -> RawResponse.Body
    /// Answers a value of the input's type with one of the output's.
    let value: @Sendable (any Sendable, HandlerContext) async throws -> any Sendable
    /// Why the input cannot be held to the contract; nothing is answered then.
    let schemaError: SchemaError?

    init<Input: Wire, Output: Sendable>(
        _ endpoint: Endpoint<Input, Output>, _ description: EndpointDescription,
        _ handler: @escaping @Sendable (Input, HandlerContext) async throws -> Output
    ) {
        self.endpoint = description
        let validator: InputValidator<Input>?
        do throws(SchemaError) {
            validator = try InputValidator(description)
            schemaError = nil
        } catch {
            validator = nil
            schemaError = error
        }
        @Sendable func answer(_ input: Input, _ context: HandlerContext) async throws -> Output {
            if let violations = try validator?.violations(of: input), !violations.isEmpty {
                throw Problem.invalidInput(violations)
            }
            return try await handler(input, context)
        }
        bytes = { body, fields, context in
            let input: Input
            do {
                input = try JSON.decode(Input.self, from: body, fields: fields, personal: .plain)
            } catch let error as JSONError {
                throw Problem.invalidInput([
                    .init(pointer: error.pointer, expected: "expected \(error.expected), found \(error.found)")
                ])
            }
            return try endpoint.answer.encode(try await answer(input, context))
        }
        value = { input, context in
            guard let input = input as? Input else {
                throw CallError(
                    .invalidAnswer, callee: description.contract.name,
                    message: "'\(description.key)' takes \(Input.self), and was called with \(type(of: input))",
                    wasSent: false)
            }
            return try await answer(input, context)
        }
    }
}
