"""What the joints of a set are evaluated with: OKS sigmas and the
ends of the torso, by name, never by position.

They come from the first of these that has them:
1. options of the command, used as they are;
2. a skeleton, of a weight file or params.yaml;
3. the set's own category;
4. a known skeleton with the same joint names.
"""

from typing import Any

from semipose.data.annotations import Annotations
from semipose.pose.skeleton import COCO17, SKELETONS, Skeleton
from semipose.utils.errors import InputError


def sigmas_of(known: Annotations, skeleton: Skeleton | None = None) -> tuple[float, ...]:
    """Find the OKS sigma of each joint of a set.

    Args:
        known: The set.
        skeleton: Of a weight file or params.yaml; its sigmas come before the set's own. None: there
            is none.

    Returns:
        K sigmas, in the order of the set's joints.

    Raises:
        InputError: Nothing gives them, or the skeleton is another one.
    """
    if skeleton is not None:
        _check_joints(known, skeleton)
        if skeleton.sigmas:
            return tuple(dict(zip(skeleton.joints, skeleton.sigmas, strict=True))[joint] for joint in known.joints)
    own = _category(known).get("sigmas")
    if own:
        return _as_many(known, tuple(float(sigma) for sigma in own))
    _check_named(known)
    same = next((one for one in SKELETONS.values() if one.joints == known.joints and one.sigmas), COCO17)
    sigmas = dict(zip(same.joints, same.sigmas, strict=True))
    for joint in known.joints:
        if joint not in sigmas:
            raise InputError(
                f"{known.label}: joint {joint!r} has no OKS sigma; give the sigmas (--sigmas, or those of the weights "
                "with --weights, or of params.yaml with --params), or use PCK (--metric pck)"
            )
    return tuple(sigmas[joint] for joint in known.joints)


def given_sigmas(known: Annotations, sigmas: tuple[float, ...]) -> tuple[float, ...]:
    """Check given sigmas.

    Raises:
        InputError: There are not as many sigmas as joints.
    """
    return _as_many(known, sigmas)


def torso_of(known: Annotations, skeleton: Skeleton | None = None) -> tuple[str, str]:
    """Find the two joints of a set whose distance is the size of the torso.

    Args:
        known: The set.
        skeleton: As for `sigmas_of`.

    Raises:
        InputError: Nothing gives them, or the skeleton is another one.
    """
    if skeleton is not None:
        _check_joints(known, skeleton)
        if skeleton.torso[0]:
            return skeleton.torso
    _check_named(known)
    first, second = _category(known).get("torso") or COCO17.torso
    if {first, second} <= set(known.joints):
        return first, second
    raise InputError(
        f"{known.label}: the ends of the torso are not known among the joints {', '.join(known.joints)}; give them with "
        "--torso A,B, --weights or --params, or use the box (--pck-reference box)"
    )


def _check_joints(known: Annotations, skeleton: Skeleton) -> None:
    if set(known.joints) != set(skeleton.joints):
        other = next(joint for joint in (*known.joints, *skeleton.joints) if (joint in known.joints) != (joint in skeleton.joints))
        whose = known.label if other in known.joints else f"the skeleton {skeleton.name}"
        raise InputError(f"{known.label}: its joints are not those of the skeleton {skeleton.name}: only {whose} has {other!r}")


def _check_named(known: Annotations) -> None:
    if not _category(known).get("keypoints"):
        raise InputError(
            f"{known.label}: its category does not name its joints (`keypoints`), so their sigmas and torso are not "
            "known; add the names, or give --sigmas or --torso"
        )


def _as_many(known: Annotations, sigmas: tuple[float, ...]) -> tuple[float, ...]:
    if len(sigmas) != len(known.joints):
        raise InputError(
            f"{known.label}: {len(known.joints)} joints, but {len(sigmas)} sigmas; give one for each joint, in the set's order"
        )
    return sigmas


def _category(known: Annotations) -> dict[str, Any]:
    category: dict[str, Any] = known.dataset["categories"][0]
    return category
