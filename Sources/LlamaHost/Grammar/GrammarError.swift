// Why a grammar is refused.

public import Foundation

/// What is wrong with a GBNF grammar; each case carries the rule and the value.
public enum GrammarError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
  /// A text without rules.
  case empty
  /// - Parameter line: Counted from 1.
  case syntax(line: Int, rule: String?, reason: String)
  /// No rule is named `root`.
  case missingRoot
  /// Two rules of one name.
  case duplicateRule(String)
  /// A rule names another one that is not there.
  case undefinedRule(String, usedBy: String)
  /// The rule can begin with itself, without a character before.
  case leftRecursion(rule: String)
  /// No text ends: from the rule `root` every way goes on for ever.
  case endless
  /// `{3,1}`.
  case reversedRepetition(rule: String, least: Int, most: Int)
  /// `[z-a]`.
  case reversedRange(rule: String, low: String, high: String)
  /// `[]`, or a class of nothing but half characters.
  case emptyClass(rule: String)
  /// `<[99999999]>`, or a name that is not one token.
  case unknownToken(String)
  /// The token ends the answer, so no grammar can ask for it.
  case endingToken(String)
  /// - Parameters:
  ///   - what: Plural, such as "bytes".
  ///   - rule: Where the limit was passed, if that is one rule.
  case tooLarge(rule: String?, what: String, count: Int, limit: Int)
  /// The text written so far can be read in so many ways that finding the next tokens takes too many steps.
  case tooAmbiguous(limit: Int)
  /// As ``tooAmbiguous(limit:)``, in bytes.
  case tooManyStates(limit: Int)

  /// A sentence.
  public var description: String {
    switch self {
    case .empty: "The grammar is empty."
    case .syntax(let line, let rule, let reason):
      "The grammar is not valid GBNF: line \(line)\(rule.map { ", rule '\($0)'" } ?? ""): \(reason)."
    case .missingRoot: "The grammar has no rule 'root'."
    case .duplicateRule(let name): "The grammar has two rules '\(name)'."
    case .undefinedRule(let name, let user):
      "Rule '\(user)' uses '\(name)', which the grammar does not define."
    case .leftRecursion(let rule):
      "Rule '\(rule)' can begin with itself (left recursion), so it would be followed for ever."
    case .endless: "The grammar allows no text: whatever is written, rule 'root' can never end."
    case .reversedRepetition(let rule, let least, let most):
      "Rule '\(rule)' repeats {\(least),\(most)}, but \(least) is more than \(most)."
    case .reversedRange(let rule, let low, let high):
      "Rule '\(rule)' has the range [\(low)-\(high)], but \(low) comes after \(high)."
    case .emptyClass(let rule): "Rule '\(rule)' has a class without characters."
    case .unknownToken(let name): "The grammar names the token \(name), which the model does not have."
    case .endingToken(let name): "The grammar names the token \(name), which ends the answer."
    case .tooLarge(let rule, let what, let count, let limit):
      "\(rule.map { "Rule '\($0)'" } ?? "The grammar") has \(count == .max ? "too many" : "\(count)") \(what); "
        + "at most \(limit) are possible."
    case .tooAmbiguous(let limit):
      "The grammar is too ambiguous: the tokens it allows here cannot be found in \(limit) steps."
    case .tooManyStates(let limit):
      "The grammar is too ambiguous: the ways to read the text so far take more than \(limit) bytes."
    }
  }

  /// The same, for `localizedDescription`.
  public var errorDescription: String? { description }
}
