// swift-tools-version: 6.2
// RetrievalAttention: long contexts for GGUF models, with attention served from a vector index.
//
// Dependencies point one way (see docs/architecture.md):
//   CLlamaChat <- CChatTemplates
//   {CLlama, CChatTemplates} <- LlamaHost <---------------------------+
//   CAttentionKernels <- AttentionKernels <- VectorIndex <- RetrievalAttention <- Generation <- {Evaluation, Serving} <- ra
//   AttentionModel <- {RetrievalAttention, LlamaHost}
//   RetrievalAttention <- AttentionPolicies <- {Evaluation, ra}
//   CSystemCalls <- Platform <- {AttentionKernels, AttentionModel, Documents, Downloads, Evidence, LlamaHost, LineEditing, NumpyFile}
//   CTexts <- Evaluation <- Benchmarking <- ra
//   Serving <- InferenceServer <- ra
//   NumpyFile <- Benchmarking
//   {Downloads, LineEditing} <----------------------------------------------------------------------- ra

import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
]

/// For targets whose every use of unsafe memory is marked as one (SE-0458).
let strict = settings + [.strictMemorySafety()]

// Back ends for GPUs are modules that take ggml from the program that loads them, so programs must export it. Nothing
// else can say so: pkg-config's -Wl flags are refused. Libraries stay free of these flags and usable by other packages.
let exportsHost: [LinkerSetting] = [
  .unsafeFlags(
    ["-Xlinker", "--dynamic-list=\(Context.packageDirectory)/Sources/CLlama/exports.txt"],
    .when(platforms: [.linux])),
  .unsafeFlags(["-Xlinker", "-export_dynamic"], .when(platforms: [.macOS])),
]

let llama = TargetDependencyCondition.when(traits: ["Llama"])
let server = TargetDependencyCondition.when(traits: ["Server"])
let tool = TargetDependencyCondition.when(traits: ["CommandLineTool"])

let package = Package(
  name: "RetrievalAttention",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "AttentionKernels", targets: ["AttentionKernels"]),
    .library(name: "AttentionModel", targets: ["AttentionModel"]),
    .library(name: "VectorIndex", targets: ["VectorIndex"]),
    .library(name: "RetrievalAttention", targets: ["RetrievalAttention"]),
    .library(name: "AttentionPolicies", targets: ["AttentionPolicies"]),
    .library(name: "LlamaHost", targets: ["LlamaHost"]),
    .library(name: "Generation", targets: ["Generation"]),
    .library(name: "Evidence", targets: ["Evidence"]),
    .library(name: "Documents", targets: ["Documents"]),
    .library(name: "NumpyFile", targets: ["NumpyFile"]),
    .library(name: "Evaluation", targets: ["Evaluation"]),
    .library(name: "Serving", targets: ["Serving"]),
    .library(name: "InferenceServer", targets: ["InferenceServer"]),
    .executable(name: "ra", targets: ["ra"]),
  ],
  // What a package that depends on this one needs from elsewhere. All of it is enabled here, and for dependants that say
  // nothing; with 'traits: []' the libraries that need nothing fetch nothing, and llama.cpp is not looked for.
  traits: [
    .default(enabledTraits: ["CommandLineTool"]),
    .trait(
      name: "Llama",
      description: "llama.cpp, found by pkg-config: for LlamaHost, Generation and Evaluation."),
    .trait(
      name: "Server", description: "Packages of web servers: for Serving and InferenceServer.",
      enabledTraits: ["Llama"]),
    .trait(
      name: "CommandLineTool", description: "A parser of arguments: for the program ra.",
      enabledTraits: ["Server"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    // For InferenceServer and ra serve alone. Without its traits it needs neither TLS nor configuration files.
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.9.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
  ],
  targets: [
    // llama.cpp and ggml, built by scripts/bootstrap or installed by the system; found by pkg-config.
    .systemLibrary(
      name: "CLlama", pkgConfig: "llama",
      providers: [.brew(["llama.cpp"])]),
    // Its templates of conversations, which installations leave out: always built by scripts/bootstrap.
    .systemLibrary(name: "CLlamaChat", pkgConfig: "llama-chat"),
    .target(name: "CChatTemplates", dependencies: [.target(name: "CLlamaChat", condition: llama)]),
    .target(name: "CSystemCalls"),
    // The system: the C library, signals, outputs, inputs, mapped files.
    .target(name: "Platform", dependencies: ["CSystemCalls"], swiftSettings: strict),
    .target(name: "CAttentionKernels", cSettings: [.define("NDEBUG")]),
    .target(
      name: "AttentionKernels", dependencies: ["CAttentionKernels", "Platform"], swiftSettings: strict),
    // The words between a host and whoever computes its attention.
    .target(name: "AttentionModel", dependencies: ["Platform"], swiftSettings: strict),
    .target(name: "VectorIndex", dependencies: ["AttentionKernels", "Platform"], swiftSettings: strict),
    .target(
      name: "RetrievalAttention",
      dependencies: ["AttentionModel", "VectorIndex", "AttentionKernels", "Platform"],
      swiftSettings: strict),
    // The published methods; what they build on is open to any package.
    .target(
      name: "AttentionPolicies",
      dependencies: ["RetrievalAttention", "VectorIndex", "AttentionKernels", "Platform"],
      swiftSettings: strict),
    .target(
      name: "LlamaHost",
      dependencies: [
        "AttentionModel", "CChatTemplates", .target(name: "CLlama", condition: llama), "Platform",
      ],
      swiftSettings: strict),
    .target(
      name: "Generation",
      dependencies: [
        "Evidence", "LlamaHost", "RetrievalAttention", "VectorIndex", "AttentionKernels", "Platform",
      ],
      resources: [.embedInCode("Resources/evidence-profiles.json")],
      swiftSettings: strict),
    // From the attention of an answer to the passages that it came from.
    .target(name: "Evidence", dependencies: ["Platform"], swiftSettings: strict),
    .target(name: "CTexts"),
    .target(name: "NumpyFile", dependencies: ["Platform"], swiftSettings: strict),
    // Files of any format to texts. Knows no models.
    .target(name: "Documents", dependencies: ["Platform"], swiftSettings: strict),
    // Files from servers: models, checked by their sums.
    .target(
      name: "Downloads", dependencies: ["Platform"], resources: [.embedInCode("Resources/models.json")],
      swiftSettings: strict),
    .target(name: "LineEditing", dependencies: ["Platform"], swiftSettings: strict),
    .target(
      name: "Evaluation",
      dependencies: [
        "AttentionPolicies", "Evidence",
        "Generation", "LlamaHost", "RetrievalAttention", "VectorIndex", "AttentionKernels", "Platform",
        "CTexts",
      ],
      swiftSettings: strict),
    // Measurements of speed, of the machine and of kinds of index: for ra alone.
    .target(
      name: "Benchmarking",
      dependencies: [
        "Evaluation", "Generation", "LlamaHost", "NumpyFile", "RetrievalAttention", "VectorIndex",
        "AttentionKernels", "Platform",
      ],
      swiftSettings: strict),
    .target(
      name: "Serving",
      dependencies: [
        "Evidence", "Generation", "LlamaHost", "Platform", "RetrievalAttention", "AttentionKernels",
        .product(name: "OrderedCollections", package: "swift-collections", condition: server),
      ],
      swiftSettings: strict),
    .target(
      name: "InferenceServer",
      dependencies: [
        "Evidence", "Serving", "LlamaHost", "Platform",
        .product(name: "Hummingbird", package: "hummingbird", condition: server),
        .product(name: "HummingbirdCore", package: "hummingbird", condition: server),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: server),
        .product(name: "UnixSignals", package: "swift-service-lifecycle", condition: server),
        .product(name: "Logging", package: "swift-log", condition: server),
        .product(name: "NIOCore", package: "swift-nio", condition: server),
      ],
      exclude: ["Resources/Page/vendor/README.md"],
      resources: [.embedInCode("Resources/Page"), .embedInCode("Resources/openapi.json")],
      swiftSettings: strict),
    .executableTarget(
      name: "ra",
      dependencies: [
        "AttentionPolicies",
        "Benchmarking", "Documents", "Downloads", "Evidence", "Evaluation", "Generation", "InferenceServer",
        "LineEditing",
        "LlamaHost",
        "Platform",
        "RetrievalAttention", "Serving", "VectorIndex", "AttentionKernels",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: tool),
        .product(name: "Logging", package: "swift-log", condition: server),
      ], swiftSettings: strict, linkerSettings: exportsHost),

    // What several of the test targets need: models, texts, folders, random numbers.
    .target(
      name: "TestSupport", dependencies: ["LlamaHost", "Platform"], path: "Tests/TestSupport",
      swiftSettings: settings),
    .testTarget(
      name: "AttentionKernelsTests", dependencies: ["AttentionKernels"], swiftSettings: settings),
    .testTarget(
      name: "VectorIndexTests", dependencies: ["VectorIndex", "AttentionKernels", "Platform"],
      swiftSettings: settings),
    // A package of its own, which sees public declarations only; here its tests run with the others.
    .target(
      name: "ExampleMethods", dependencies: ["RetrievalAttention", "VectorIndex"],
      path: "Examples/Sources/ExampleMethods", swiftSettings: [.strictMemorySafety()]),
    .testTarget(
      name: "ExampleMethodsTests",
      dependencies: ["ExampleMethods", "AttentionPolicies", "Evaluation", "LlamaHost", "RetrievalAttention"],
      path: "Examples/Tests/ExampleMethodsTests"),
    .testTarget(
      name: "RetrievalAttentionTests",
      dependencies: [
        "AttentionPolicies", "RetrievalAttention", "VectorIndex", "AttentionKernels", "Platform",
      ],
      swiftSettings: settings),
    // All tests are linked to one program.
    .testTarget(
      name: "LlamaHostTests", dependencies: ["LlamaHost", "CLlama", "Platform", "TestSupport"],
      swiftSettings: settings,
      linkerSettings: exportsHost),
    .testTarget(
      name: "GenerationTests",
      dependencies: [
        "AttentionKernels", "AttentionPolicies",
        "Generation", "LlamaHost", "Platform", "RetrievalAttention", "VectorIndex", "TestSupport",
      ],
      swiftSettings: settings),
    .testTarget(name: "PlatformTests", dependencies: ["Platform"], swiftSettings: settings),
    .testTarget(name: "EvidenceTests", dependencies: ["Evidence"], swiftSettings: settings),
    .testTarget(
      name: "DocumentsTests", dependencies: ["Documents", "Platform", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "DownloadsTests", dependencies: ["Downloads", "Platform", "TestSupport"], swiftSettings: settings),
    .testTarget(name: "LineEditingTests", dependencies: ["LineEditing"], swiftSettings: settings),
    .testTarget(name: "NumpyFileTests", dependencies: ["NumpyFile"], swiftSettings: settings),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "AttentionPolicies",
        "Evaluation", "Generation", "LlamaHost", "RetrievalAttention", "VectorIndex", "TestSupport",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "BenchmarkingTests",
      dependencies: [
        "Benchmarking", "Evaluation", "Generation", "LlamaHost", "NumpyFile", "RetrievalAttention",
        "AttentionKernels", "TestSupport",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "ServingTests",
      dependencies: [
        "AttentionPolicies", "Evidence", "Serving", "Generation", "LlamaHost", "RetrievalAttention",
        "TestSupport",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "InferenceServerTests",
      dependencies: [
        "InferenceServer", "Serving", "LlamaHost", "Platform", "TestSupport",
        .product(name: "Hummingbird", package: "hummingbird", condition: server),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: server),
        .product(name: "Logging", package: "swift-log", condition: server),
      ], swiftSettings: settings),
    .testTarget(
      name: "raTests", dependencies: ["ra", "Generation", "NumpyFile", "Platform", "TestSupport"],
      swiftSettings: settings),
  ],
  cxxLanguageStandard: .cxx17
)
