// A word that is no command, and the command that was meant.

import ArgumentParser

/// Finds mistyped commands, which the parser reports as arguments that nobody expects.
enum CommandSuggestion {
  /// The complaint about the first word that should name a subcommand and does not; nil when there is none.
  static func problem(in arguments: [String], of command: any ParsableCommand.Type) -> ValidationError? {
    var command = command
    var path = [name(of: command)]
    let words = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
    for argument in words {
      let subcommands = command.configuration.subcommands
      guard !subcommands.isEmpty, !argument.hasPrefix("-") else { return nil }
      if let next = subcommands.first(where: { name(of: $0) == argument }) {
        command = next
        path.append(argument)
        continue
      }
      let near = closest(to: argument, among: subcommands.map(name))
      return ValidationError(
        "there is no command '\(path.joined(separator: " ")) \(argument)'"
          + (near.map { "; did you mean '\($0)'?" } ?? "; '\(path.joined(separator: " ")) --help' lists them.")
      )
    }
    return nil
  }

  private static func name(of command: any ParsableCommand.Type) -> String {
    command.configuration.commandName ?? command._commandName
  }

  /// The candidate that differs in the fewest letters; nil when none is near.
  static func closest(to word: String, among candidates: [String]) -> String? {
    let distances = candidates.map { (name: $0, distance: distance(Array(word), Array($0))) }
    guard let best = distances.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= max(1, min(word.count, best.name.count) / 3) ? best.name : nil
  }

  /// How many letters have to be added, removed, replaced or swapped with their neighbor (Damerau, Communications of
  /// the ACM 7(3), 1964).
  private static func distance(_ left: [Character], _ right: [Character]) -> Int {
    var rows = [Array(0...right.count)]
    for i in 1..<left.count + 1 {
      var row = [i]
      for j in 1..<right.count + 1 {
        let isSame = left[i - 1] == right[j - 1]
        var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (isSame ? 0 : 1))
        if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
          best = min(best, rows[i - 2][j - 2] + 1)
        }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[left.count][right.count]
  }
}
