//! Queues in equilibrium: how long work takes at a server that is busy for a share of the time.
//!
//! L. Kleinrock, *Queueing Systems*, volume 1 (Wiley 1975), chapters 3 and 5.

/// Quantile of the response time of an M/M/1 queue, in the unit of the service time: Poisson arrivals,
/// exponential service of this mean, utilisation from 0 to below 1. The response time is exponential with
/// mean service ÷ (1 − ρ). Infinite from 1 on.
pub fn mm1_response_quantile(service: f64, utilisation: f64, quantile: f64) -> f64 {
    if utilisation >= 1.0 {
        return f64::INFINITY;
    }
    -(1.0 - quantile).ln() * service / (1.0 - utilisation)
}

/// Mean wait of an M/G/1 queue, in the unit of the service time (Pollaczek and Khinchine): ρ/(1 − ρ) · s ·
/// (1 + cv²)/2, with cv the coefficient of variation of the service time. Infinite from ρ = 1 on.
pub fn mg1_mean_wait(service: f64, service_cv: f64, utilisation: f64) -> f64 {
    if utilisation >= 1.0 {
        return f64::INFINITY;
    }
    congestion(utilisation, 1.0) * service * (1.0 + service_cv * service_cv) / 2.0
}

/// ρ^k/(1 − ρ), which every wait above is in proportion to for k = 1. A larger k keeps waits short until
/// close to saturation, as of many servers (Sakasegawa 1977: k = √(2(m + 1)) − 1 of m) or of a server that
/// takes all that waits as one batch. Infinite from ρ = 1 on.
pub fn congestion(utilisation: f64, sharpness: f64) -> f64 {
    if utilisation >= 1.0 { f64::INFINITY } else { utilisation.powf(sharpness) / (1.0 - utilisation) }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn textbook_values() {
        // λ = 0.8, μ = 1: mean response 5, so the median is 5 ln 2 and the 99th percentile 5 ln 100.
        assert!((mm1_response_quantile(1.0, 0.8, 0.5) - 5.0 * 2f64.ln()).abs() < 1e-12);
        assert!((mm1_response_quantile(1.0, 0.8, 0.99) - 5.0 * 100f64.ln()).abs() < 1e-12);
        // M/M/1 waits ρ/(1 − ρ) = 4 services, M/D/1 half of that.
        assert!((mg1_mean_wait(1.0, 1.0, 0.8) - 4.0).abs() < 1e-12);
        assert!((mg1_mean_wait(1.0, 0.0, 0.8) - 2.0).abs() < 1e-12);
        assert!(
            mg1_mean_wait(1.0, 1.0, 1.0).is_infinite() && mm1_response_quantile(1.0, 1.2, 0.5).is_infinite()
        );
        assert_eq!((congestion(0.5, 1.0), congestion(0.5, 2.0), congestion(0.0, 2.0)), (1.0, 0.5, 0.0));
    }

    #[test]
    fn a_simulated_queue_waits_as_the_formula_says() {
        // Lindley's recursion with exponential gaps and constant service: M/D/1 at ρ = 0.7.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut wait, mut sum, count) = (0.0_f64, 0.0, 400_000);
        for _ in 0..count {
            sum += wait;
            let gap = -(1.0 - random.random::<f64>()).ln() / 0.7;
            wait = (wait + 1.0 - gap).max(0.0);
        }
        let (found, expected) = (sum / f64::from(count), mg1_mean_wait(1.0, 0.0, 0.7));
        assert!((found / expected - 1.0).abs() < 0.03, "{found} for {expected}");
    }
}
