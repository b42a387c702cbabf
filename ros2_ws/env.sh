# SPDX-License-Identifier: Apache-2.0
# Puts ROS 2, the virtual environment and the built workspace into this bash: `source ros2_ws/env.sh`.
# The ROS 2 is an installed one where the set-up ran with that one's environment sourced, else the one from PyPI.

_mtl_split_env() {
    local root nounset=+u
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || return
    if [ ! -f "$root/ros2_ws/build/mtl_split_setup.json" ]; then
        echo "mtl_split: the workspace is not built yet: run $root/scripts/setup" >&2
        return 1
    fi
    case $- in *u*) nounset=-u ;; esac

    export VIRTUAL_ENV="$root/.venv"
    export PATH="$VIRTUAL_ENV/bin:${PATH//"$VIRTUAL_ENV/bin:"/}"
    if [ -d "$VIRTUAL_ENV/share/rclpy" ]; then
        export AMENT_PREFIX_PATH="$VIRTUAL_ENV"
        # Children find their libraries anew by the wheels' own start-up code, unless told that it has run.
        unset CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH
        unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
    elif [ -z "${AMENT_PREFIX_PATH:-}" ]; then
        echo 'mtl_split: built with an installed ROS 2: source its setup.bash first, as in /opt/ros/jazzy/setup.bash' >&2
        return 1
    fi
    set +u # colcon's scripts read variables that are not set
    source "$root/ros2_ws/install/local_setup.bash"
    set "$nounset"
    # The source tree first: a module that is new since the last build is found.
    export PYTHONPATH="$root/src:${PYTHONPATH:-}"
}
_mtl_split_env
