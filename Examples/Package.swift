// swift-tools-version: 6.2
// A method of attention and a kind of index outside of the package whose engine runs them.
//
// It sees public declarations only, so it builds as anybody's package does. The tests of the package around it compile
// the same files.

import PackageDescription

let package = Package(
  name: "ExampleMethods",
  platforms: [.macOS(.v15)],
  products: [.library(name: "ExampleMethods", targets: ["ExampleMethods"])],
  dependencies: [.package(name: "RetrievalAttention", path: "..")],
  targets: [
    .target(
      name: "ExampleMethods",
      dependencies: [
        .product(name: "RetrievalAttention", package: "RetrievalAttention"),
        .product(name: "VectorIndex", package: "RetrievalAttention"),
      ],
      swiftSettings: [.strictMemorySafety()]),
    .testTarget(
      name: "ExampleMethodsTests",
      dependencies: [
        "ExampleMethods",
        .product(name: "AttentionPolicies", package: "RetrievalAttention"),
        .product(name: "Evaluation", package: "RetrievalAttention"),
        .product(name: "LlamaHost", package: "RetrievalAttention"),
      ]),
  ]
)
