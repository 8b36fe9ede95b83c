"""WebRTC: browsers publish (WHIP) and watch (WHEP) the same streams as everybody else."""
