// swift-tools-version: 6.2
// A method of attention and a kind of index outside of the package whose engine runs them.
//
// It sees public declarations only, so it builds as anybody's package does. The tests of the package around it compile
// the same files.
//
// The engine and the indexes alone would need `traits: []` and no flags. The tests run a model, by llama.cpp, which is the
// trait Llama; `make examples` passes --pkg-config-path ../.deps/lib/pkgconfig, where scripts/bootstrap put it.

import PackageDescription

let package = Package(
  name: "ExampleMethods",
  platforms: [.macOS(.v15)],
  products: [.library(name: "ExampleMethods", targets: ["ExampleMethods"])],
  dependencies: [.package(name: "RetrievalAttention", path: "..", traits: ["Llama"])],
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
