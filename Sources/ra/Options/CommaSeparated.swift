// Lists on the command line.

import ArgumentParser
import Foundation

/// Several values after one option, separated by commas.
struct CommaSeparated<Element: LosslessStringConvertible & Sendable>: ExpressibleByArgument, Sendable {
  var elements: [Element]

  init(_ elements: [Element]) {
    self.elements = elements
  }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    elements = parts.compactMap { Element($0.trimmingCharacters(in: .whitespaces)) }
    guard elements.count == parts.count else { return nil }
  }

  var defaultValueDescription: String { elements.map(\.description).joined(separator: ",") }
}
