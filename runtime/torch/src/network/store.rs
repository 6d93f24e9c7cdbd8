use std::collections::HashMap;

use tch::{Device, Kind, TchError, Tensor};

/// How training treats a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A parameter with weight decay.
    Weight,
    /// A parameter without weight decay: weight or bias of batch norm.
    BatchNorm,
    /// Not a parameter: running mean or variance of batch norm.
    Buffer,
}

/// The name, shape and role of a network's tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorSpec {
    /// Its name, as in PyTorch: `group1.block0.conv1.weight`.
    pub name: String,
    /// Its size: `[out, in, height, width]` for convolutions, `[out, in]` for the linear layer.
    pub size: Vec<i64>,
    /// What training does with it.
    pub role: Role,
}

impl TensorSpec {
    pub(super) fn conv(layer: &str, out: usize, inputs: usize, side: usize) -> Self {
        let size = [out, inputs, side, side];
        Self::new(layer, "weight", &size, Role::Weight)
    }

    pub(super) fn linear(layer: &str, out: usize, inputs: usize, tensors: &mut Vec<Self>) {
        tensors.push(Self::new(layer, "weight", &[out, inputs], Role::Weight));
        tensors.push(Self::new(layer, "bias", &[out], Role::Weight));
    }

    pub(super) fn batch_norm(layer: &str, channels: usize, tensors: &mut Vec<Self>) {
        let parts = [
            ("weight", Role::BatchNorm),
            ("bias", Role::BatchNorm),
            ("running_mean", Role::Buffer),
            ("running_var", Role::Buffer),
        ];
        tensors.extend(parts.map(|(part, role)| Self::new(layer, part, &[channels], role)));
    }

    fn new(layer: &str, part: &str, size: &[usize], role: Role) -> Self {
        Self {
            name: format!("{layer}.{part}"),
            size: size.iter().map(|side| *side as i64).collect(),
            role,
        }
    }

    /// The number of elements.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no tensor of a network is empty"
    )]
    pub fn len(&self) -> usize {
        self.size.iter().product::<i64>() as usize
    }

    fn aligned_len(&self) -> i64 {
        self.len().next_multiple_of(ALIGNMENT) as i64
    }
}

/// The tensors of a network.
///
/// All parameters are views of one flat tensor, those with weight decay first, so that an optimizer's
/// step takes a handful of operations at any depth. The weights of convolutions are channels last in
/// memory, as the fast kernels need them.
#[derive(Debug)]
pub struct Store {
    specs: Vec<TensorSpec>,
    tensors: Vec<Tensor>,
    flat: Tensor,
    decayed_len: i64,
}

/// Every parameter begins at a multiple of this many elements of the flat tensor: 64 bytes of 32-bit
/// floats. Kernels read vectors, which must be aligned (cuDNN's batch norm, for one, 16 bytes at a time).
/// The elements between parameters are always zero.
pub(crate) const ALIGNMENT: usize = 16;

impl Store {
    pub(super) fn new(
        specs: Vec<TensorSpec>,
        (kind, device): (Kind, Device),
        mut fill: impl FnMut(&TensorSpec) -> Vec<f32>,
    ) -> Result<Self, TchError> {
        let decayed_len = aligned_len(&specs, Role::Weight);
        let flat = Tensor::f_zeros([Self::flat_len(&specs)], (kind, device))?;
        let (mut next_weight, mut next_norm) = (0, decayed_len);
        let mut tensors = Vec::new();
        for spec in &specs {
            let values = fill(spec);
            assert_eq!(values.len(), spec.len(), "the values of {}", spec.name);
            let values = Tensor::f_from_slice(&values)?.f_reshape(&spec.size)?;
            let values = values.f_to_kind(kind)?;
            let next = match spec.role {
                Role::Weight => &mut next_weight,
                Role::BatchNorm => &mut next_norm,
                Role::Buffer => {
                    tensors.push(values.f_to_device(device)?);
                    continue;
                }
            };
            let part = flat.f_narrow(0, *next, spec.len() as i64)?;
            let mut tensor = view_of(&part, &spec.size)?;
            tensor.f_copy_(&values)?;
            tensors.push(tensor);
            *next += spec.aligned_len();
        }
        Ok(Self {
            specs,
            tensors,
            flat,
            decayed_len,
        })
    }

    /// The number of elements of the flat tensor.
    pub(crate) fn flat_len(specs: &[TensorSpec]) -> i64 {
        aligned_len(specs, Role::Weight) + aligned_len(specs, Role::BatchNorm)
    }

    /// Every tensor with its specification, in the order of the forward pass.
    pub fn iter(&self) -> impl Iterator<Item = (&TensorSpec, &Tensor)> {
        self.specs.iter().zip(&self.tensors)
    }

    /// A handle to the tensor of that name.
    ///
    /// # Panics
    ///
    /// If the network has none.
    pub(super) fn get(&self, name: &str) -> Tensor {
        let (_, tensor) = self
            .iter()
            .find(|(spec, _)| spec.name == name)
            .unwrap_or_else(|| panic!("the network has no tensor `{name}`"));
        tensor.shallow_clone()
    }

    /// The trainable tensors, in their order in the flat one.
    pub fn parameters(&self) -> Vec<&Tensor> {
        let of_role = |role: Role| self.iter().filter(move |(spec, _)| spec.role == role);
        of_role(Role::Weight)
            .chain(of_role(Role::BatchNorm))
            .map(|(_, tensor)| tensor)
            .collect()
    }

    /// The flat tensor of all parameters.
    pub(crate) fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// The length of the start of the flat tensor that has weight decay.
    pub(crate) fn decayed_len(&self) -> i64 {
        self.decayed_len
    }

    /// Writes the gradients of consecutive parameters to the start of a tensor, laid out as these are in the flat
    /// one. Returns the rest of the tensor.
    pub(crate) fn flatten(gradients: &[Tensor], to: &Tensor) -> Result<Tensor, TchError> {
        let mut parts = Vec::new();
        let mut length = 0;
        for gradient in gradients {
            parts.push(match gradient.dim() {
                4 => gradient.f_permute([0, 2, 3, 1])?.f_reshape([-1])?,
                _ => gradient.f_reshape([-1])?,
            });
            let aligned = gradient.numel().next_multiple_of(ALIGNMENT);
            let gap = aligned - gradient.numel();
            if gap > 0 {
                let options = (gradient.kind(), gradient.device());
                parts.push(Tensor::f_zeros([gap as i64], options)?);
            }
            length += aligned as i64;
        }
        let mut start = to.f_narrow(0, 0, length)?;
        if gradients.iter().all(|it| it.kind() == to.kind()) {
            drop(Tensor::f_cat_out(&start, &parts, 0)?);
        } else {
            // Converted as one tensor: a concatenation would convert part by part.
            start.f_copy_(&Tensor::f_cat(&parts, 0)?)?;
        }
        to.f_narrow(0, length, to.numel() as i64 - length)
    }

    /// The parameters, by name, as views of `flat`, which is laid out like [`Store::flat`] or the start of it
    /// with weight decay.
    pub(crate) fn views_of<'a>(
        &'a self,
        flat: &Tensor,
        role: Role,
    ) -> Result<HashMap<&'a str, Tensor>, TchError> {
        let mut start = match role {
            Role::BatchNorm => self.decayed_len,
            _ => 0,
        };
        let mut views = HashMap::new();
        for spec in self.specs.iter().filter(|spec| spec.role == role) {
            let part = flat.f_narrow(0, start, spec.len() as i64)?;
            views.insert(spec.name.as_str(), view_of(&part, &spec.size)?);
            start += spec.aligned_len();
        }
        Ok(views)
    }
}

fn aligned_len(specs: &[TensorSpec], role: Role) -> i64 {
    let of_role = specs.iter().filter(|spec| spec.role == role);
    of_role.map(TensorSpec::aligned_len).sum()
}

/// A view of a flat tensor with the given size, channels last for convolutions.
fn view_of(flat: &Tensor, size: &[i64]) -> Result<Tensor, TchError> {
    match *size {
        [out, inputs, height, width] => flat
            .f_view([out, height, width, inputs])?
            .f_permute([0, 3, 1, 2]),
        _ => flat.f_view(size),
    }
}
