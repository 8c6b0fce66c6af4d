// Positions beyond those of the training.

public import ArgumentParser
public import LlamaHost

struct RopeScalingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Scale the model's positions, for contexts beyond what it was trained for: yarn or linear, by --rope-scale; none "
        + "takes the scaling of the model's file away. (default: as the file says)",
      valueName: "yarn|linear|none"))
  var ropeScaling: RopeScaling.Method?

  @Option(
    help: ArgumentHelp(
      "By how much --rope-scaling makes the context longer, such as 4 for 128K with a model of 32K.",
      valueName: "factor"))
  var ropeScale: Float?

  @Option(
    help: ArgumentHelp(
      "The context that the positions were trained for, for --rope-scaling yarn. (default: as the file says)",
      valueName: "tokens"))
  var yarnOrigCtx: Int?

  func validate() throws {
    switch ropeScaling {
    case nil:
      if let ropeScale {
        throw ValidationError("--rope-scale \(ropeScale) needs --rope-scaling yarn or linear.")
      }
    case RopeScaling.Method.none?:
      if let ropeScale {
        throw ValidationError("--rope-scale \(ropeScale) is of no use with --rope-scaling none.")
      }
    case .linear?, .yarn?:
      guard let ropeScale else {
        throw ValidationError(
          "--rope-scaling \(ropeScaling?.rawValue ?? "") needs --rope-scale, by how much the context becomes longer."
        )
      }
      guard ropeScale >= 1, ropeScale <= RopeScaling.largestFactor else {
        throw ValidationError(
          "--rope-scale is \(ropeScale), but must be between 1 and \(Int(RopeScaling.largestFactor)).")
      }
    }
    if let yarnOrigCtx {
      guard ropeScaling == .yarn else {
        throw ValidationError("--yarn-orig-ctx \(yarnOrigCtx) needs --rope-scaling yarn.")
      }
      try checkCount("--yarn-orig-ctx", yarnOrigCtx)
    }
  }

  /// What was asked for; nil for what the model's file says.
  var value: RopeScaling? {
    ropeScaling.map {
      RopeScaling(method: $0, factor: ropeScale ?? 1, originalContextLength: yarnOrigCtx)
    }
  }
}

extension RopeScaling.Method: ExpressibleByArgument {}
