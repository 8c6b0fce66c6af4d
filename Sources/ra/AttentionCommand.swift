import ArgumentParser
import AttentionPolicies
import RetrievalAttention

struct AttentionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention", abstract: "The attention policies that there are.",
    subcommands: [AttentionListCommand.self])
}

struct AttentionListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List attention policies with their settings and papers.",
    discussion: """
      Each can be given to --attention with settings: --attention quest:page=16,budget=1024. What is not mentioned is \
      as by default.
      """)

  @Argument(
    help: ArgumentHelp("Only this policy. (default: all)", valueName: "name"),
    completion: .list(PolicyRegistry.published.names))
  var name: String?

  @Flag(help: "Write JSON.")
  var json = false

  func validate() throws {
    if let name, !PolicyRegistry.published.names.contains(name) {
      throw ValidationError(
        sentence(AttentionPolicyError.unknownPolicy(name, known: PolicyRegistry.published.names)))
    }
  }

  func run() async throws {
    let console = Console()
    let policies = PolicyRegistry.published.catalog.filter { name == nil || $0.name == name }
    if json { try console.json(policies) } else { console.output(policies.map(text).joined(separator: "\n")) }
  }

  private func text(_ policy: PolicyDescription) -> String {
    var lines = [
      policy.name + (policy.paper.map { " (arXiv \($0))" } ?? ""), "  " + policy.summary,
      "  " + policy.tradeOff,
    ]
    let settings = policy.parameters.map { "\($0.name)=\($0.default)" }
    let width = settings.map(\.count).max() ?? 0
    for (parameter, setting) in zip(policy.parameters, settings) {
      let symbol = parameter.symbol.map { " (\($0))" } ?? ""
      lines.append(
        "    \(setting.padding(to: width))  \(parameter.summary)\(symbol) \(parameter.allowed)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
