use faa_op::{Stream, math};

use crate::network::TensorSpec;

/// Initial values of a tensor, drawn from `stream`: normal with variance 2 / fan-in for weights (He,
/// Zhang, Ren and Sun, *Delving deep into rectifiers*, ICCV 2015, section 2.2), 1 for the weight
/// and the running variance of batch norm, 0 for everything else.
///
/// They are drawn here rather than by libtorch so that they are the same on every device.
pub fn he_normal(spec: &TensorSpec, stream: &mut Stream) -> Vec<f32> {
    let part = spec.name.rsplit('.').next().unwrap_or_default();
    match (part, spec.size.as_slice()) {
        ("weight", [_, fan_in @ ..]) if !fan_in.is_empty() => {
            let std = math::sqrt(2.0 / fan_in.iter().product::<i64>() as f64);
            (0..spec.len())
                .map(|_| (std * normal(stream)) as f32)
                .collect()
        }
        ("weight" | "running_var", _) => vec![1.0; spec.len()],
        _ => vec![0.0; spec.len()],
    }
}

/// A sample of the standard normal distribution (Box and Muller 1958).
fn normal(stream: &mut Stream) -> f64 {
    // 1 − u is in (0, 1], where the logarithm is finite.
    let radius = math::sqrt(-2.0 * math::log(1.0 - stream.unit()));
    radius * math::cos(2.0 * std::f64::consts::PI * stream.unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use faa_search::model::Model;

    use crate::network::Shape;

    #[test]
    fn weights_have_the_variance_of_the_paper_and_other_tensors_are_constant() {
        let tensors = Shape::new(Model::new(16, 2).unwrap(), 10).tensors();
        let values = |name: &str| {
            let spec = tensors.iter().find(|spec| spec.name == name).unwrap();
            he_normal(spec, &mut Stream::for_op(1))
        };
        let weights = values("group3.block1.conv1.weight");
        let count = weights.len() as f64;
        let mean = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / count;
        let variance = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / count;
        // 147,456 values: six standard errors are 1.6 % of the standard deviation and 2.2 % of the variance.
        let expected = 2.0 / (128.0 * 9.0);
        assert!(mean.abs() < 0.016 * f64::sqrt(expected), "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.022, "{variance}");
        assert!(values("bn.weight").iter().all(|value| *value == 1.0));
        assert!(values("bn.running_var").iter().all(|value| *value == 1.0));
        assert!(values("bn.bias").iter().all(|value| *value == 0.0));
        assert!(values("linear.bias").iter().all(|value| *value == 0.0));
    }
}
