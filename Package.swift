// swift-tools-version: 6.2
// RetrievalAttention: long contexts for any GGUF model, with attention served from a vector index.
//
// Dependencies point one way (see docs/architecture.md):
//   CLlama <- LlamaHost <---------------------------------------------+
//   CAttentionKernels <- AttentionKernels <- VectorIndex <- RetrievalAttention <- Generation <- {Evaluation, Serving} <- ra
//   CSystemCalls <- Platform <- {VectorIndex, RetrievalAttention, LlamaHost, Generation, Evaluation, Serving, InferenceServer, ra}
//   CTexts <- Evaluation
//   Serving <- InferenceServer <- ra
//   NumpyFile <---------------------------------------------------------------------------+
//   LineEditing <------------------------------------------------------------------------------------ ra

import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
]

// Back ends for GPUs are modules that take ggml from the program that loads them, so programs must export it. Nothing
// else can say so: pkg-config's -Wl flags are refused. Libraries stay free of these flags and usable by other packages.
let exportsHost: [LinkerSetting] = [
  .unsafeFlags(
    ["-Xlinker", "--dynamic-list=\(Context.packageDirectory)/Sources/CLlama/exports.txt"],
    .when(platforms: [.linux])),
  .unsafeFlags(["-Xlinker", "-export_dynamic"], .when(platforms: [.macOS])),
]

let package = Package(
  name: "RetrievalAttention",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "AttentionKernels", targets: ["AttentionKernels"]),
    .library(name: "VectorIndex", targets: ["VectorIndex"]),
    .library(name: "RetrievalAttention", targets: ["RetrievalAttention"]),
    .library(name: "LlamaHost", targets: ["LlamaHost"]),
    .library(name: "Generation", targets: ["Generation"]),
    .library(name: "NumpyFile", targets: ["NumpyFile"]),
    .library(name: "Evaluation", targets: ["Evaluation"]),
    .library(name: "Serving", targets: ["Serving"]),
    .library(name: "InferenceServer", targets: ["InferenceServer"]),
    .executable(name: "ra", targets: ["ra"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    // For InferenceServer and ra serve alone. Without its traits it needs neither TLS nor configuration files.
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.9.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
  ],
  targets: [
    // llama.cpp and ggml, built by scripts/bootstrap or installed by the system; found by pkg-config.
    .systemLibrary(
      name: "CLlama", pkgConfig: "llama",
      providers: [.brew(["llama.cpp"])]),
    .target(name: "CAttentionKernels", cSettings: [.define("NDEBUG")]),
    .target(name: "AttentionKernels", dependencies: ["CAttentionKernels"], swiftSettings: settings),
    .target(name: "VectorIndex", dependencies: ["AttentionKernels", "Platform"], swiftSettings: settings),
    .target(name: "CSystemCalls"),
    // The system: signals, outputs, inputs, mapped files.
    .target(name: "Platform", dependencies: ["CSystemCalls"], swiftSettings: settings),
    .target(
      name: "RetrievalAttention",
      dependencies: ["VectorIndex", "AttentionKernels", "Platform", "CSystemCalls"],
      swiftSettings: settings),
    .target(name: "LlamaHost", dependencies: ["CLlama", "Platform"], swiftSettings: settings),
    .target(
      name: "Generation", dependencies: ["LlamaHost", "RetrievalAttention", "VectorIndex", "Platform"],
      swiftSettings: settings),
    .target(name: "CTexts"),
    .target(name: "NumpyFile", swiftSettings: settings),
    .target(name: "LineEditing", swiftSettings: settings),
    .target(
      name: "Evaluation",
      dependencies: [
        "Generation", "NumpyFile", "RetrievalAttention", "VectorIndex", "AttentionKernels", "Platform",
        "CTexts",
      ],
      swiftSettings: settings),
    .target(
      name: "Serving", dependencies: ["Generation", "LlamaHost", "Platform", "RetrievalAttention"],
      swiftSettings: settings),
    .target(
      name: "InferenceServer",
      dependencies: [
        "Serving", "LlamaHost", "Platform",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
      ],
      resources: [.embedInCode("Resources/index.html"), .embedInCode("Resources/openapi.json")],
      swiftSettings: settings),
    .executableTarget(
      name: "ra",
      dependencies: [
        "Evaluation", "Generation", "InferenceServer", "LineEditing", "Platform", "Serving",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings, linkerSettings: exportsHost),

    .testTarget(
      name: "AttentionKernelsTests", dependencies: ["AttentionKernels"], swiftSettings: settings),
    .testTarget(
      name: "VectorIndexTests", dependencies: ["VectorIndex", "AttentionKernels", "Platform"],
      swiftSettings: settings),
    .testTarget(
      name: "RetrievalAttentionTests",
      dependencies: ["RetrievalAttention", "VectorIndex", "AttentionKernels", "Platform"],
      swiftSettings: settings),
    // All tests are linked to one program.
    .testTarget(
      name: "LlamaHostTests", dependencies: ["LlamaHost", "CLlama"], swiftSettings: settings,
      linkerSettings: exportsHost),
    .testTarget(
      name: "GenerationTests",
      dependencies: ["Generation", "LlamaHost", "Platform", "RetrievalAttention", "VectorIndex"],
      swiftSettings: settings),
    .testTarget(name: "PlatformTests", dependencies: ["Platform"], swiftSettings: settings),
    .testTarget(name: "LineEditingTests", dependencies: ["LineEditing"], swiftSettings: settings),
    .testTarget(name: "NumpyFileTests", dependencies: ["NumpyFile"], swiftSettings: settings),
    .testTarget(
      name: "EvaluationTests",
      dependencies: ["Evaluation", "Generation", "LlamaHost", "NumpyFile", "RetrievalAttention"],
      swiftSettings: settings),
    .testTarget(
      name: "ServingTests", dependencies: ["Serving", "Generation", "LlamaHost", "RetrievalAttention"],
      swiftSettings: settings),
    .testTarget(
      name: "InferenceServerTests",
      dependencies: [
        "InferenceServer", "Serving", "LlamaHost", "Platform",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings),
    .testTarget(name: "raTests", dependencies: ["ra", "NumpyFile"], swiftSettings: settings),
  ]
)
